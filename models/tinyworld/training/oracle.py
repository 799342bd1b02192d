"""Trains the little world's oracle, which reads scenes back from pictures: `presample train tiny-oracle`.

The pictures are painted once, into files of a cache folder that a later training reads again; each comes
several times, mirrored at random, which changes no attribute. Some are also seen as the autoencoder gives
them back, since what the oracle judges has gone through its decoder.

b batch  h w image  a attributes
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ...options import default, option
from ...seeds import generator_for
from ...trainer.card import Measure
from ...trainer.fit import Place, make_accelerator
from ...trainer.options import FitOptions
from ...trainer.small import FILE, Small, fit_and_save
from ..bundled import ORACLE
from ..oracle import Oracle, accuracy, load_oracle, numbers, visible
from ..pictures import HELD_OUT, draws, images_of, scene_of
from .decoded import decoded
from .jitter import jitter
from .painted import PaintedOptions, by_size, shards, turns

WHAT = (
    "A small network that reads the little world's pictures: it says for each attribute of a scene which "
    "value the picture shows, and how sure that is. It measures how well painted pictures follow their "
    "prompts, and knows nothing but that world."
)
DATA = "Paintings of random scenes, made by this repository's own code (`models/tinyworld`)."
HOW = (
    "Share of held-out pictures whose value is read rightly, over all five shapes of canvas at about 128x128 "
    "pixels. `quality` is read in its three visible levels, `aspect` off the size of the canvas."
)
COUNTED = 2048


@dataclass(frozen=True)
class OracleOptions(PaintedOptions):
    """How the oracle is trained. The defaults make the bundled one."""

    out: str = default(FitOptions, "out", "models/bundled/tiny-oracle")
    steps: int = default(FitOptions, "steps", 12000)
    lr: float = default(FitOptions, "lr", 6e-3)
    warmup: int = default(FitOptions, "warmup", 100)
    ema: float = default(FitOptions, "ema", 0.0)
    guard: bool = default(FitOptions, "guard", False)
    batch: int = option(32, "Pictures in a batch of one process.", low=1, high=4096, step=1)
    decoded: int = option(
        0, "Pictures seen a second time as the autoencoder gives them back.", low=0, high=10**6, step=1024
    )
    start: str = option("", "Model file to begin with.")


def train(options: OracleOptions) -> dict | None:
    """Trains and writes `model.safetensors`; returns what the card needs, in the process that wrote it.

    Raises:
        ModuleNotFoundError: accelerate is missing (`presample[train]`).
        OSError: a model file is missing.
        ValueError: the file to begin with is not an oracle's.
    """
    accelerator = make_accelerator(options)
    model = make_model(options)
    with accelerator.main_process_first():
        seen = shards(options)
        if options.decoded:
            cache = Path(options.cache)
            seen += decoded(
                cache, options.seed, options.decoded, accelerator=accelerator, workers=options.workers
            )
    painted = by_size(seen, lambda shard: torch.stack([numbers(scene_of(row)) for row in shard.labels]))

    def data(place: Place, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        return stream(painted, options, place=place, skip=skip)

    return fit_and_save(model, options, data=data, loss=loss, accelerator=accelerator)


def make_model(options: OracleOptions) -> Oracle:
    """Returns a fresh network, or the one to begin with."""
    if options.start:
        found = copy.deepcopy(load_oracle(Path(options.start)))  # without the file: it may be written again
        return found.train().requires_grad_(True)
    model = Oracle()
    model.init_weights(generator_for(options.seed, 21))
    return model.to(memory_format=torch.channels_last)


def stream(
    painted: list[tuple[Tensor, Tensor]], options: OracleOptions, *, place: Place, skip: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields batches from number `skip` on, for ever: images (b, 3, h, w) in 0..1, labels (b, a)."""
    for number, size, rows, mirrored in turns(
        [len(labels) for _, labels in painted],
        lambda count, generator: shuffled(count, options.batch, generator),
        lambda epoch: generator_for(options.seed, epoch, 22),
        place=place,
        skip=skip,
    ):
        pixels, labels = painted[size]
        images = jitter(pixels[rows].float() / 255, generator_for(options.seed, number, 23))
        yield (images.flip(-1) if mirrored else images), labels[rows]


def shuffled(count: int, batch: int, generator: torch.Generator) -> list[Tensor]:
    """Returns the pictures of each batch; what is left over of a size sits the epoch out."""
    order = torch.randperm(count, generator=generator)
    return [rows for rows in order.split(batch) if len(rows) == batch]


def loss(model, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Returns the sum over the heads of the mean loss in nats, and the share of values read rightly."""
    images, labels = batch
    found = model(images)
    return {"loss": surprise(found, labels), "right": (found.argmax(-1) == labels).float().mean()}


def surprise(found: Tensor, labels: Tensor) -> Tensor:
    """Returns the sum over the attributes of the mean loss in nats, of scores (b, a, v) and labels (b, a)."""
    return functional.cross_entropy(found.flatten(0, 1), labels.flatten(), reduction="sum") / len(labels)


def measure(options: OracleOptions, *, count: int = COUNTED) -> dict[str, Measure]:
    """Returns the share of values read rightly on held-out pictures: of all, and of each attribute."""
    oracle = load_oracle(Path(options.out) / FILE)
    total = {name: [0, 0] for name in visible()}
    groups: dict[tuple[int, int], list] = {}
    for draw in draws(options.seed + HELD_OUT, count):
        groups.setdefault((draw.width, draw.height), []).append(draw)
    for group in groups.values():
        for name, counts in accuracy(images_of(group), [draw.scene for draw in group], oracle=oracle).items():
            total[name] = [a + b for a, b in zip(total[name], counts, strict=True)]
    shares = {name: right / all_ for name, (right, all_) in total.items()}
    mean = Measure("mean over the attributes", sum(shares.values()) / len(shares), ".4f", 0.99)
    each = {
        name: Measure(name, share, ".4f", 0.99) for name, share in sorted(shares.items(), key=lambda p: p[1])
    }
    return {"mean": mean, **each}


MODEL = Small(
    ORACLE,
    OracleOptions,
    what=WHAT,
    data=DATA,
    how=f"{HOW} {COUNTED:,} pictures, of a stream that training does not see.",
    train=train,
    measure=measure,
)
add_parser = MODEL.add_parser
