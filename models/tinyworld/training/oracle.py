"""Trains the little world's oracle, which reads scenes back from pictures: `presample train tiny-oracle`.

The pictures are painted once, into files of a cache folder that a later training reads again; each comes
several times, mirrored at random, which changes no attribute.

b batch  h w image  a attributes
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ...options import default, option
from ...trainer.card import Measure
from ...trainer.fit import Place, make_accelerator
from ...trainer.options import FitOptions
from ...trainer.seeds import generator_for
from ...trainer.small import FILE, Small, fit_and_save
from ..oracle import Oracle, accuracy, load_oracle, shown, values, visible
from ..pictures import cached, draws, picture, scene_of
from .jitter import jitter

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
HELD_OUT = 10**6  # added to the seed: a stream that no training sees
COUNTED = 2048


@dataclass(frozen=True)
class OracleOptions(FitOptions):
    """How the oracle is trained. The defaults make the bundled one."""

    out: str = default(FitOptions, "out", "models/bundled/tiny-oracle")
    steps: int = default(FitOptions, "steps", 12000)
    lr: float = default(FitOptions, "lr", 6e-3)
    warmup: int = default(FitOptions, "warmup", 100)
    ema: float = default(FitOptions, "ema", 0.0)
    guard: bool = default(FitOptions, "guard", False)
    batch: int = option(32, "Pictures in a batch of one process.", low=1, high=4096, step=1)
    pictures: int = option(24576, "Pictures painted, in steps of 1024.", low=1024, high=10**6, step=1024)
    cache: str = option("out/tiny-pictures", "Folder where painted pictures are kept.")
    workers: int = option(0, "Processes that paint; they change nothing but the speed.", low=0, high=256)


def train(options: OracleOptions) -> dict | None:
    """Trains and writes `model.safetensors`; returns what the card needs, in the process that wrote it.

    Raises:
        ModuleNotFoundError: accelerate is missing (`presample[train]`).
    """
    accelerator = make_accelerator(options)
    with accelerator.main_process_first():
        painted = load_pictures(options)
    model = Oracle()
    model.init_weights(generator_for(options.seed, 21))
    model = model.to(memory_format=torch.channels_last)

    def data(place: Place, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        return stream(painted, options, place=place, skip=skip)

    return fit_and_save(model, options, data=data, loss=loss, accelerator=accelerator)


def load_pictures(options: OracleOptions) -> list[tuple[Tensor, Tensor]]:
    """Returns the pictures (n, 3, h, w) of each size, uint8, and labels (n, a); paints what is missing."""
    found: dict[tuple[int, int], list] = {}
    for shard in cached(Path(options.cache), options.seed, options.pictures, workers=options.workers):
        labels = torch.stack([targets(row) for row in shard.labels])
        found.setdefault(tuple(shard.pixels.shape[-2:]), []).append((shard.pixels, labels))
    return [tuple(map(torch.cat, zip(*parts, strict=True))) for _, parts in sorted(found.items())]


def targets(labels: Tensor) -> Tensor:
    """Returns the numbers (a,) of the values that the oracle should read, of a scene's own numbers."""
    seen = shown(scene_of(labels))
    return torch.tensor([words.index(seen[name]) for name, words in values().items()])


def stream(
    painted: list[tuple[Tensor, Tensor]], options: OracleOptions, *, place: Place, skip: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields batches from number `skip` on, for ever: images (b, 3, h, w) in 0..1, labels (b, a)."""
    size = options.batch
    per_epoch = sum(len(labels) // size for _, labels in painted)
    number = skip * place.count + place.rank
    while True:
        epoch, first = divmod(number, per_epoch)
        for batch in _epoch(painted, size, generator_for(options.seed, epoch, 22))[first :: place.count]:
            pixels, labels = painted[batch[0]]
            images = jitter(pixels[batch[1]].float() / 255, generator_for(options.seed, number, 23))
            yield (images.flip(-1) if batch[2] else images), labels[batch[1]]
            number += place.count


def _epoch(painted, size: int, generator: torch.Generator) -> list[tuple[int, Tensor, bool]]:
    """Each batch of an epoch: which size, which pictures, and whether they are mirrored."""
    found = []
    for group, (_, labels) in enumerate(painted):
        order = torch.randperm(len(labels), generator=generator)
        found += [(group, part) for part in order.split(size) if len(part) == size]
    mirrored = torch.rand(len(found), generator=generator) < 0.5
    return [(*found[i], bool(mirrored[i])) for i in torch.randperm(len(found), generator=generator).tolist()]


def loss(model, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Returns the sum over the heads of the mean loss in nats, and the share of values read rightly."""
    images, labels = batch
    found = model(images)
    entropy = functional.cross_entropy(found.flatten(0, 1), labels.flatten(), reduction="sum") / len(labels)
    return {"loss": entropy, "right": (found.argmax(-1) == labels).float().mean()}


def measure(options: OracleOptions, *, count: int = COUNTED) -> dict[str, Measure]:
    """Returns the share of values read rightly on held-out pictures: of all, and of each attribute."""
    oracle = load_oracle(Path(options.out) / FILE)
    total = {name: [0, 0] for name in visible()}
    groups: dict[tuple[int, int], list] = {}
    for draw in draws(options.seed + HELD_OUT, count):
        groups.setdefault((draw.width, draw.height), []).append(draw)
    for group in groups.values():
        images = torch.stack([picture(draw) for draw in group]).float() / 255
        for name, counts in accuracy(images, [draw.scene for draw in group], oracle=oracle).items():
            total[name] = [a + b for a, b in zip(total[name], counts, strict=True)]
    shares = {name: right / all_ for name, (right, all_) in total.items()}
    mean = Measure("mean over the attributes", sum(shares.values()) / len(shares), ".4f", 0.99)
    each = {
        name: Measure(name, share, ".4f", 0.99) for name, share in sorted(shares.items(), key=lambda p: p[1])
    }
    return {"mean": mean, **each}


MODEL = Small(
    "tiny-oracle",
    "train the reader of the little world's pictures",
    OracleOptions,
    what=WHAT,
    data=DATA,
    how=f"{HOW} {COUNTED:,} pictures, of a stream that training does not see.",
    train=train,
    measure=measure,
)
add_parser = MODEL.add_parser
