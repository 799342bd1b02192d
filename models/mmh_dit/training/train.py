"""Trains an MMH-DiT: `presample train mmh-dit`, on the little world or on cached latents and texts.

The same command runs on one CPU and on many GPUs: see docs/training.md. The defaults make the bundled
mmh-dit-tiny. Source: spec 2.2, 2.6, 2.8, 2.9.
"""

from __future__ import annotations

import json
import logging
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

import torch

from ...options import add_flags, from_flags, option
from ...trainer.fit import Fitted, Hook, Place, fit, make_accelerator
from ...trainer.optimizers import make_optimizers, title
from ...trainer.options import FitOptions, default, recipe
from ...trainer.seeds import generator_for
from .. import checkpoint, flow
from ..config import FULL, MMHDiTConfig
from ..layers import sdpa
from ..model import MMHDiT, init_weights
from .attention import written_out
from .batches import stream
from .loss import make_loss
from .pictures import Pictures
from .sources import Source, source

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class TrainOptions(FitOptions, flow.FlowOptions):
    """How an MMH-DiT is trained."""

    out: str = default(FitOptions, "out", "models/bundled/mmh-dit-tiny")
    steps: int = default(FitOptions, "steps", 7000)
    lr: float = default(FitOptions, "lr", 6e-3)
    beta2: float = default(FitOptions, "beta2", 0.99)
    ema: float = default(FitOptions, "ema", 0.999)
    weight_decay: float = default(FitOptions, "weight_decay", 0.0)
    batch: int = option(64, "Pictures in a batch of one process.", low=1, high=10**5, step=1)
    drop: float = option(0.1, "Share of pictures whose text is left out, for guidance.", low=0.0, high=1.0)
    stage: tuple[str, ...] = option(
        (), "Cached data, repeatable: 'begin=0 latents=DIR texts=DIR batch=64'. None: the little world."
    )
    start: str = option("", "Model file to begin with; its shape counts, not the one below.")
    config: str = option("", "JSON file with the model's shape, or `full`. Empty: the shape below.")
    hidden: int = option(192, "Width.", low=16, high=8192, step=16)
    heads: str = option("4,4,8,8,12,12,16,16", "Heads of every block, as many as there are blocks.")
    mlp: int = option(512, "Width of the gated MLP.", low=16, high=32768, step=16)
    text_dim: int = option(128, "Width of the text states.", low=1, high=16384, step=1)
    text_len: int = option(128, "Most tokens of a text.", low=1, high=1024, step=1)
    gate: float = option(0.3, "Where gates begin; 0 for deep models, more for small ones.", low=0.0, high=2.0)
    checkpointing: bool = option(False, "Compute blocks again for their gradients: less memory, more time.")
    dtype: str = option("fp16", "Type of the weights in the file.", choices=DTYPES)
    pictures: int = option(24576, "Scenes of the little world to paint.", low=256, high=10**7, step=256)
    decoder: str = option(
        "", "TAESD file with 16 channels that makes samples of cached latents visible. Empty: rough colours."
    )
    samples_every: int = option(500, "Steps between sheets of sample pictures.", low=1, high=10**7, step=1)
    samples: int = option(16, "Pictures of a sheet; 0 makes none.", low=0, high=256, step=1)
    cfg: float = option(3.0, "Guidance of the samples.", low=0.0, high=30.0, step=0.1)
    workers: int = option(0, "Processes that read the data; they only change the speed.", low=0, high=256)
    balance: float = option(
        1.0,
        "Shapes are drawn as their number of pictures to this power: 1 shows every picture once an epoch,"
        " 0.5 shows rare shapes more often.",
        low=0.0,
        high=1.0,
    )


def add_parser(subparsers) -> ArgumentParser:
    """Adds `mmh-dit` to the subparsers of `presample train`, and returns its parser."""
    parser = subparsers.add_parser("mmh-dit", help="train an MMH-DiT on the little world or your data")
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
        return MMHDiTConfig.from_dict(json.loads(Path(options.config).read_text(encoding="utf-8")))
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
        icfm_sigma=options.sigma,
        gate_init=options.gate,
    )


def make_model(options: TrainOptions) -> MMHDiT:
    """Returns a fresh model, or the one to begin with, in float32."""
    if options.start:
        model = checkpoint.load(Path(options.start), dtype=torch.float32).requires_grad_(True)
    else:
        model = MMHDiT(shape(options))
        init_weights(model, generator_for(options.seed, 1))
    model.gradient_checkpointing = options.checkpointing
    model.attention = sdpa if torch.cuda.is_available() else written_out
    return model


def train(options: TrainOptions, *, data: Source | None = None) -> Fitted:
    """Trains and writes `model.safetensors` and `card.json`; `data` stands in for what the options name.

    Raises:
        ModuleNotFoundError: accelerate is missing (`presample[train]`).
        ValueError: the options, or a checkpoint in the folder, do not fit together.
    """
    accelerator = make_accelerator(options)
    model = make_model(options)
    folder = Path(options.out)
    work = Path(options.work) if options.work else folder / "training"
    data = data or source(options, work, accelerator)
    optimizers = make_optimizers(model, options, inner=lambda name: name.startswith("blocks."))
    fitted = fit(
        model,
        optimizers,
        data=lambda place, skip: stream(data.open(place), skip=skip, workers=options.workers),
        loss=make_loss(options, share=options.drop),
        options=options,
        hooks=samples(options, work, data) if options.samples else (),
        accelerator=accelerator,
    )
    write(fitted, options, folder)
    return fitted


def samples(options: TrainOptions, work: Path, data: Source) -> tuple[Hook, ...]:
    """Returns the hook that samples the texts of the first batch, of all processes the same."""
    batch = data.open(Place())[0]
    if batch["text"] is None:
        return ()
    mask = None if batch["mask"] is None else batch["mask"][: options.samples]
    text = flow.Text(batch["text"][: options.samples], mask)
    _, channels, *size = batch["latents"].shape
    how = flow.SampleOptions(cfg=options.cfg, icfm_sigma=options.sigma)
    pictures = Pictures(
        work / "samples", text, tuple(size), how, data.decode, seed=options.seed, channels=channels
    )
    return (Hook(options.samples_every, pictures),)


def write(fitted: Fitted, options: TrainOptions, folder: Path) -> None:
    """Writes the averaged weights as a model file, and how they were trained."""
    weights = fitted.weights()
    if not fitted.main:
        return
    facts = {
        "options": recipe(options),
        "optimizer": title(options),
        "processes": fitted.accelerator.num_processes,
        "parameters": sum(p.numel() for p in fitted.model.parameters()),
        "skipped": fitted.skipped,
    }
    path = folder / "model.safetensors"
    weights = {name: t.to(DTYPES[options.dtype]) for name, t in weights.items()}
    checkpoint.save_state(weights, fitted.model.config, path, {"training": json.dumps(facts)})
    (folder / "card.json").write_text(json.dumps({"training": facts}, indent=1) + "\n", encoding="utf-8")
    logging.getLogger("presample").info("written to %s", path)
