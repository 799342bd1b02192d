"""Trains an MMH-DiT: `presample train mmh-dit`, on the little world or on cached latents and texts.

The same command runs on one CPU and on many GPUs: see docs/training.md. Source: spec 2.2, 2.6, 2.8, 2.9.
"""

from __future__ import annotations

import copy
import json
import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from ...files import read_json
from ...options import add_flags, from_flags
from ...seeds import generator_for
from ...trainer import card
from ...trainer.fit import Fitted, Hook, Place, fit, make_accelerator
from ...trainer.optimizers import make_optimizers, title
from ...trainer.options import told
from .. import checkpoint, flow
from ..config import FULL, MMHDiTConfig
from ..layers import sdpa
from ..model import MMHDiT, init_weights
from .attention import written_out
from .batches import stream
from .loss import make_loss
from .options import DTYPES, TrainOptions
from .pictures import Pictures
from .sources import Source, source

TAILS = "cpp.enable_loop_tail_vec"


def add_parser(subparsers) -> ArgumentParser:
    """Adds `mmh-dit` to the subparsers of `presample train`, and returns its parser."""
    parser = subparsers.add_parser("mmh-dit")
    add_flags(parser, TrainOptions)
    parser.set_defaults(run=run)
    return parser


def run(args: Namespace) -> int:
    """Trains and writes the model; returns the exit code."""
    train(from_flags(args, TrainOptions))
    return 0


def shape(options: TrainOptions) -> MMHDiTConfig:
    """Returns the shape that the options ask for; raises ValueError for one that cannot be built."""
    if options.config == "full":
        return FULL
    if options.config:
        return MMHDiTConfig.from_dict(read_json(Path(options.config)))
    try:
        heads = tuple(int(count) for count in options.heads.split(","))
    except ValueError:
        raise ValueError(f"heads must list whole numbers, like 4,8,16; got {options.heads!r}") from None
    return MMHDiTConfig(
        hidden=options.hidden,
        heads=heads,
        mlp_hidden=options.mlp,
        text_dim=options.text_dim,
        text_len=options.text_len,
        icfm_sigma=path_sigma(options),
        gate_init=options.gate,
    )


def path_sigma(options: TrainOptions) -> float:
    """Returns the sigma of I-CFM's path, which the config states; Lipman's has its own at the end."""
    return options.sigma if options.path == "icfm" else 0.0


def make_model(options: TrainOptions) -> MMHDiT:
    """Returns a fresh model, or the one to begin with, in float32; its config says the sigma it learns."""
    if options.start:
        found = checkpoint.load(Path(options.start), dtype=torch.float32)
        model = copy.deepcopy(found).requires_grad_(True)  # without the file, which may be written again
    else:
        model = MMHDiT(shape(options))
        init_weights(model, generator_for(options.seed, 1))
    model.config = replace(model.config, icfm_sigma=path_sigma(options))
    model.gradient_checkpointing = options.checkpointing
    model.attention = sdpa if torch.cuda.is_available() else written_out
    if options.compile:
        compile_blocks(model)
    return model


def compile_blocks(model: MMHDiT) -> None:
    """Has each block compiled when it first runs: for every number of heads, with and without a mask.

    A length of text that is new makes one more, for lengths of any number.
    """
    from torch._inductor import list_options

    torch._dynamo.config.recompile_limit = 16 * len(set(model.config.heads))
    # What is left of a head beyond multiples of 16 values would be read with whole vectors, beyond the end of
    # a buffer too, where the system may end the process (torch 2.13 on a CPU).
    options = {TAILS: False} if TAILS in list_options() else None
    for block in model.blocks:
        block.compile(dynamic=True, options=options)


def train(options: TrainOptions, *, data: Source | None = None) -> Fitted:
    """Trains and writes `model.safetensors` and `card.json`; `data` stands in for what the options name.

    Raises:
        ModuleNotFoundError: accelerate is missing (`presample[train]`).
        ValueError: the options, or a checkpoint in the folder, do not fit together.
    """
    if options.blend < 1 and not options.start:
        raise ValueError(f"--blend {options.blend:g} goes from a model to the trained one: name --start")
    accelerator = make_accelerator(options)
    model = make_model(options)
    begun = {name: t.clone() for name, t in model.state_dict().items()} if options.blend < 1 else {}
    folder = Path(options.out)
    work = Path(options.work) if options.work else folder / "training"
    data = data or source(options, model.config, work, accelerator)
    optimizers = make_optimizers(model, options, inner=lambda name: name.startswith("blocks."))
    fitted = fit(
        model,
        optimizers,
        data=lambda place, skip: stream(data.open(place), skip=skip, workers=options.workers),
        loss=make_loss(
            options,
            share=options.drop,
            reader=data.reader,
            weight=options.reading,
            feedback=options.feedback,
        ),
        options=options,
        hooks=samples(options, work, data) if options.samples else (),
        accelerator=accelerator,
    )
    write(fitted, options, folder, begun)
    return fitted


def samples(options: TrainOptions, work: Path, data: Source) -> tuple[Hook, ...]:
    """Returns the hook that samples the texts of the first batch, of all processes the same."""
    batch = data.open(Place())[0]
    if batch["text"] is None:
        return ()
    mask = None if batch["mask"] is None else batch["mask"][: options.samples]
    text = flow.Text(batch["text"][: options.samples], mask)
    _, channels, *size = batch["latents"].shape
    how = flow.SampleOptions(cfg=options.cfg)
    pictures = Pictures(
        work / "samples", text, tuple(size), how, data.decode, seed=options.seed, channels=channels
    )
    return (Hook(options.samples_every, pictures),)


def write(fitted: Fitted, options: TrainOptions, folder: Path, begun: Mapping[str, torch.Tensor]) -> None:
    """Writes the averaged weights, blended with those it began with, as a model file, and how they were made.

    Source of the blend: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT).
    """
    weights = fitted.weights()
    if not fitted.main:
        return
    if begun:
        weights = {name: begun[name].lerp(t.float(), options.blend) for name, t in weights.items()}
    facts = {
        "options": told(options),
        "optimizer": title(options),
        "processes": fitted.accelerator.num_processes,
        "parameters": sum(p.numel() for p in fitted.model.parameters()),
        "skipped": fitted.skipped,
        "seconds": round(fitted.seconds),
    }
    path = folder / "model.safetensors"
    weights = {name: t.to(DTYPES[options.dtype]) for name, t in weights.items()}
    checkpoint.save_state(weights, fitted.model.config, path, {"training": json.dumps(facts)})
    card.begin(folder, facts)
    logging.getLogger("presample").info("written to %s", path)
