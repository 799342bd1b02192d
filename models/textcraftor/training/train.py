"""Tunes a text encoder with rewards: `presample train textcraftor`.

Prompts are all the data; denoiser, decoder and rewards are frozen. The encoder that is written is meant for
the late steps of sampling, after the original one has begun. Source: TextCraftor (arXiv 2403.18978) and its
code where they differ; specification 3.
"""

from __future__ import annotations

import copy
import json
import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from ...files import written
from ...metrics.scorers import Similarity
from ...options import add_flags, describe, from_flags
from ...trainer.card import write as write_card
from ...trainer.fit import Fitted, Hook, fit, make_accelerator
from ...trainer.optimizers import make_optimizers, title
from ...trainer.options import told
from ..rewards import parse_weights
from . import parts
from .bases import Base
from .gallery import Sheet
from .measure import card
from .options import CraftOptions, preset_beside, settled
from .studio import Studio, Trained, open_studio, tuned_encoder
from .tuning import Tuning


def add_parser(subparsers) -> ArgumentParser:
    """Adds `textcraftor` to the subparsers of `presample train`, and returns its parser."""
    parser = subparsers.add_parser("textcraftor")
    add_flags(parser, CraftOptions)
    # None tells what was left out from what was named at its default, which a preset must not replace.
    parser.set_defaults(run=run, **{fact.name: None for fact in describe(CraftOptions)})
    return parser


def run(args: Namespace) -> int:
    """Trains, writes the model and its card; returns the exit code."""
    options = asked(args)
    trained = train(replace(options, preset=""))
    if trained is None:
        return 0
    return 0 if write_card(Path(options.out), card(options, trained)) else 1


def asked(args: Namespace) -> CraftOptions:
    """Returns what a command line names, else what its preset says, else the defaults.

    Raises:
        ValueError: the options do not fit together.
    """
    named = [fact.name for fact in describe(CraftOptions) if getattr(args, fact.name) is not None]
    preset = preset_beside(args.preset, named)
    for fact in describe(CraftOptions):
        if getattr(args, fact.name) is None:
            setattr(args, fact.name, preset.get(fact.name, fact.default))
    options = from_flags(args, CraftOptions)
    return replace(settled(replace(options, preset="")), preset=options.preset)


def train(options: CraftOptions, studio: Studio | None = None) -> Trained | None:
    """Trains and writes `model.safetensors`; returns what the card needs, in the process that wrote it.

    Raises:
        ModuleNotFoundError: accelerate is missing (`presample[train]`).
        ValueError: the options, or a checkpoint in the folder, do not fit together.
    """
    options = settled(options)
    accelerator = make_accelerator(options)
    if options.tune == "denoiser" and accelerator.num_processes > 1:
        # A step asks the denoiser many times, and a checkpointed one again in its backward pass.
        raise ValueError("a denoiser is tuned by one process; several tune an encoder")
    studio = studio or open_studio(options, str(accelerator.device))
    studio.base.to(accelerator.device)
    encoder = tuned_encoder(studio.base, options).to(accelerator.device)
    model = trainee(studio.base, encoder, options)
    weights = parse_weights(options.reward)
    tuning = Tuning(studio.base, studio.rewards, weights, Similarity(studio.clip), options, encoder)
    prompts = parts.training_prompts(options)
    fitted = fit(
        model,
        make_optimizers(model, options, inner=lambda name: ".layers." in name or "blocks." in name),
        data=lambda place, skip: parts.stream(prompts, options.batch, options.seed, place=place, skip=skip),
        loss=tuning.loss,
        options=options,
        hooks=hooks(options, studio.base, encoder, prompts[: options.samples]),
        accelerator=accelerator,
    )
    facts = {"optimizer": title(options), "seconds": round(fitted.seconds)}
    return write(fitted, options, studio, facts)


def trainee(base: Base, encoder: nn.Module, options: CraftOptions) -> nn.Module:
    """Returns the module that learns, with gradients where the options want them."""
    if options.tune == "encoder":
        parts.thaw(encoder, options.layers)
        return encoder
    return copy.deepcopy(base.denoiser).requires_grad_(True)


def hooks(options: CraftOptions, base: Base, encoder: nn.Module, prompts: Sequence[str]) -> tuple[Hook, ...]:
    """Returns the hook that makes a sheet of pictures of the prompts, if there are any."""
    folder = Path(options.work) if options.work else Path(options.out) / "training"
    sheet = Sheet(folder / "samples", base, options, encoder, prompts)
    return (Hook(options.samples_every, sheet),) if prompts else ()


def write(fitted: Fitted, options: CraftOptions, studio: Studio, facts: dict) -> Trained | None:
    """Writes what was tuned, in float16, and returns it with the facts of its card."""
    weights = fitted.weights()
    if not fitted.main:
        return None
    facts |= {
        "parameters": sum(p.numel() for p in fitted.model.parameters() if p.requires_grad),
        "processes": fitted.accelerator.num_processes,
        "skipped": fitted.skipped,
        **({"fingerprints": dict(studio.files)} if studio.files else {}),
    }
    path = Path(options.out) / "model.safetensors"
    halves = {k: t.half() if t.is_floating_point() else t for k, t in weights.items()}
    said = {"textcraftor": json.dumps({"options": told(options), **facts})}
    if options.tune == "denoiser":
        studio.base.save(fitted.model, {k: t.contiguous() for k, t in halves.items()}, path, said)
    else:
        _save_encoder(halves, path, said)
    fitted.discard_checkpoints()
    logging.getLogger("presample").info("written to %s", path)
    return Trained(fitted.model.eval(), facts, studio)


def _save_encoder(weights: Mapping[str, Tensor], path: Path, said: dict[str, str]) -> None:
    from safetensors.torch import save_file

    tensors = {name: t.contiguous() for name, t in parts.encoder_tensors(weights).items()}
    with written(path) as half:
        save_file(tensors, half, metadata={"format": "pt", **said})
