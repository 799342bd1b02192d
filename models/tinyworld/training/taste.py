"""Trains the networks that see what one may like in the little world: `presample train tiny-reward`.

Two networks of equal shape learn at once, each from its own half of the pictures, so that what one of them
can be deceived by is no reason for the other. Noise on the pictures makes them hard to deceive.

b batch  k kinds of taste  h w image
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...options import default, option
from ...seeds import generator_for
from ...trainer.card import Measure
from ...trainer.fit import Place, make_accelerator
from ...trainer.options import FitOptions
from ...trainer.small import FILE, Small, fit_and_save
from ..bundled import TASTE
from ..pictures import HELD_OUT, Shard, draws, images_of, scene_of
from ..taste import KINDS, NETS, Taste, load_taste, truth
from .painted import PaintedOptions, by_size, shards, turns

WHAT = (
    "Two small networks that score pictures of the little world: how vivid, how detailed and how moonlit "
    "they are, in standard deviations of that world's pictures. `reward` is what text encoders are tuned by, "
    "`judge` learned from other pictures and says whether the tuning found more than a weakness of the first."
)
DATA = "Paintings of random scenes, made by this repository's own code (`models/tinyworld`)."
HOW = "Correlation of scores with the truth (`models/tinyworld/taste.py`) on 1,024 held-out pictures."


@dataclass(frozen=True)
class TasteOptions(PaintedOptions):
    """How the networks are trained. The defaults make the bundled ones."""

    out: str = default(FitOptions, "out", "models/bundled/tiny-reward")
    steps: int = default(FitOptions, "steps", 1500)
    lr: float = default(FitOptions, "lr", 5e-3)
    warmup: int = default(FitOptions, "warmup", 50)
    ema: float = default(FitOptions, "ema", 0.99)
    guard: bool = default(FitOptions, "guard", False)
    pictures: int = default(PaintedOptions, "pictures", 8192)
    batch: int = option(32, "Pictures in a batch of one process, half of them for each.", low=2, high=4096)
    noise: float = option(0.02, "Noise added to pictures.", low=0.0, high=1.0, step=0.01)


def train(options: TasteOptions) -> dict | None:
    """Trains and writes `model.safetensors`; returns what the card needs, in the process that wrote it.

    Raises:
        ModuleNotFoundError: accelerate is missing (`presample[train]`).
    """
    accelerator = make_accelerator(options)
    with accelerator.main_process_first():
        painted = by_size(shards(options), told)
    model = make_model(options.seed)
    every = torch.cat([true for _, true in painted])
    model.mean, model.std = every.mean(0), every.std(0)

    def data(place: Place, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        return stream(painted, options, place=place, skip=skip)

    def loss(model, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        noise = torch.randn(batch[0].shape, generator=generator).to(batch[0].device)
        return (model(batch[0] + options.noise * noise) - batch[1]).square().mean()

    return fit_and_save(model, options, data=data, loss=loss, accelerator=accelerator)


def make_model(seed: int) -> Taste:
    """Returns fresh networks of a seed; the global random state is as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Taste()


def told(shard: Shard) -> Tensor:
    """Returns the truth (n, k) of pictures."""
    parts = zip(shard.pixels.split(64), shard.labels.split(64), strict=True)
    return torch.cat([_truth(*part) for part in parts])


def _truth(pixels: Tensor, labels: Tensor) -> Tensor:
    return truth(pixels.float() / 255, [asdict(scene_of(row)) for row in labels])


def stream(
    painted: list[tuple[Tensor, Tensor]], options: TasteOptions, *, place: Place, skip: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields batches from number `skip` on, for ever: images (b, 3, h, w) in 0..1, standardised truth (b, k).

    The first half of a batch has even numbers in its size, the second odd ones.
    """
    every = torch.cat([true for _, true in painted])
    mean, std = every.mean(0), every.std(0)
    for _, size, rows, mirrored in turns(
        [len(true) for _, true in painted],
        lambda count, generator: halves(count // 2, options.batch // 2, generator),
        lambda epoch: generator_for(options.seed, epoch, 41),
        place=place,
        skip=skip,
    ):
        images = painted[size][0][rows].float() / 255
        yield (images.flip(-1) if mirrored else images), (painted[size][1][rows] - mean) / std


def halves(count: int, half: int, generator: torch.Generator) -> list[Tensor]:
    """Returns the pictures of each batch: `half` of `count` with even numbers, and as many with odd ones."""
    even, odd = (2 * torch.randperm(count, generator=generator) + k for k in (0, 1))
    pairs = zip(even.split(half), odd.split(half), strict=True)
    return [torch.cat(pair) for pair in pairs if len(pair[0]) == half]


@torch.no_grad()
def measure(options: TasteOptions, *, count: int = 1024) -> dict[str, Measure]:
    """Returns how well the scores of each network follow the truth on held-out pictures."""
    taste = load_taste(Path(options.out) / FILE)
    found = draws(options.seed + HELD_OUT, count, square=True)
    images = images_of(found)
    true = taste.standard(truth(images, [asdict(draw.scene) for draw in found]))
    measures = {}
    for net in NETS:
        scores = torch.cat([taste.scores(part, net=net) for part in images.split(64)])
        for kind, score, wanted in zip(KINDS, scores.T, true.T, strict=True):
            value = float(torch.corrcoef(torch.stack((score, wanted)))[0, 1])
            measures[f"{net} {kind}"] = Measure(f"{net}: {kind}", value, ".3f", 0.85)
    return measures


MODEL = Small(
    TASTE,
    TasteOptions,
    what=WHAT,
    data=DATA,
    how=HOW,
    train=train,
    measure=measure,
)
add_parser = MODEL.add_parser
