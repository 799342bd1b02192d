"""Balanced aspect buckets: does it help rare shapes of pictures to be drawn more often?

Convention: sizes are (width, height) in pixels, the first of them square; all arms have the same pictures and
equally many steps, and differ in which bucket a batch comes from.
Source: spec 4.6, 5.7.

b batch
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from ..metrics.frechet import frechet_distance
from ..mmh_dit import flow
from ..playground.balance import BalancedBatches, BalanceOptions
from ..playground.buckets import label
from . import toy
from .drawn import panels
from .experiment import Experiment, Job, Results
from .judgement import Check, Judgement, Panel, Table
from .shapes import ATTRIBUTES, Scenes, draw, render
from .shapes_oracle import accuracy, read
from .shapes_text import captions
from .statistics import interval, paired

SIZES = ((24, 24), (28, 20), (20, 28), (36, 16), (16, 36))
ALPHAS = {"proportional": 1.0, "balanced": 0.5, "uniform": 0.0, "square-only": 1.0}
TITLES = {
    "proportional": "proportional (α 1)",
    "balanced": "balanced (α 0.5)",
    "uniform": "uniform (α 0)",
    "square-only": "square only",
}


@dataclass(frozen=True)
class Settings:
    """The tiny model, the pictures of each bucket, and the thresholds."""

    model: toy.Toy
    counts: tuple[int, ...] = (3200, 200, 200, 200, 200)
    pictures: int = 192
    steps: int = 20
    cfg: float = 2.0
    gain: float = 0.05
    loss: float = 0.02
    learned: float = 0.6


def dataset(job: Job) -> list[Scenes]:
    """Returns the scenes of each bucket, the same in every arm."""
    return [draw(count, job.generator(10, i)) for i, count in enumerate(job.settings.counts)]


def order(job: Job) -> BalancedBatches:
    """Returns which bucket's pictures each batch has."""
    s = job.settings
    counts = s.counts[:1] if job.arm == "square-only" else s.counts
    return BalancedBatches(
        counts, s.model.batch, BalanceOptions(alpha=ALPHAS[job.arm], window=100), seed=job.seed
    )


def measure(job: Job) -> dict:
    """Returns for each size caption accuracy, share of pictures with another number of shapes than one,
    Fréchet distance, and how much lower the loss is on pictures that were seen in training."""
    s, data, batches = job.settings, dataset(job), order(job)
    model = toy.make(s.model, job.generator(0), device=job.device)
    shown = [0] * len(SIZES)

    def loss(step: int) -> torch.Tensor:
        bucket, rows = batches[step]
        shown[bucket] += len(rows)
        scenes = data[bucket].rows(torch.tensor(rows))
        return _loss(model, scenes, bucket, job, job.generator(1, step))

    toy.train(model, s.model, loss, on_step=lambda step: job.on_step())
    found = [_looks(model, bucket, data[bucket], job) for bucket in range(len(SIZES))]
    repeats = [count / pictures for count, pictures in zip(shown, s.counts, strict=True)]
    return {key: [each[key] for each in found] for key in found[0]} | {"repeats": repeats}


def _loss(
    model: torch.nn.Module, scenes: Scenes, bucket: int, job: Job, generator: torch.Generator
) -> torch.Tensor:
    width, height = SIZES[bucket]
    size = replace(job.settings.model, width=width, height=height)
    given = toy.batch_of(scenes, size, generator, device=job.device)
    return toy.flow_loss(model, given, flow.FlowOptions(sigma=0.0), generator)


@torch.no_grad()
def _looks(model: torch.nn.Module, bucket: int, seen: Scenes, job: Job) -> dict[str, float]:
    """What pictures of one size are like."""
    s, (width, height) = job.settings, SIZES[bucket]
    scenes = draw(s.pictures, job.generator(2, bucket))
    named = torch.ones(s.pictures, len(ATTRIBUTES), dtype=torch.bool)
    how = flow.SampleOptions(steps=s.steps, cfg=s.cfg)
    paint = partial(toy.pictures, model, captions(scenes, named), s.model, job.generator(3, bucket))
    reading = read(paint(options=how, width=width, height=height, chunk=64))
    truth = read(render(scenes, width=width, height=height))
    known = seen.rows(slice(0, s.pictures))
    old, new = (float(_loss(model, each, bucket, job, job.generator(4, bucket))) for each in (known, scenes))
    return {
        "accuracy": accuracy(reading, scenes),
        "miscounted": float((reading.count != 1).float().mean()),
        "duplicates": float((reading.count > 1).float().mean()),
        "distance": frechet_distance(reading.features(), truth.features()),
        "gap": new - old,
    }


def others(rows: Sequence[Sequence[float]]) -> list[float]:
    """Returns the mean over the sizes that are not square, seed by seed."""
    return [sum(row[1:]) / len(row[1:]) for row in rows]


def judge(s: Settings, found: Results) -> Judgement:
    """Asks that balance helps where pictures are rare, and costs little where they are not."""
    accurate = {arm: found.raw(arm, "accuracy") for arm in found.arms}
    gain = paired(others(accurate["balanced"]), others(accurate["proportional"]))
    square = paired([row[0] for row in accurate["balanced"]], [row[0] for row in accurate["proportional"]])
    twice = {arm: interval(others(found.raw(arm, "duplicates"))).mean for arm in found.arms}
    most = max(twice, key=twice.__getitem__)
    checks = (
        Check(
            "caption accuracy of pictures that are not square, balanced minus proportional",
            f"{s.gain:g} or more, the interval above 0",
            str(gain),
            gain.mean >= s.gain and gain.low > 0,
        ),
        Check("the same of square pictures", f"-{s.loss:g} or more", str(square), square.mean >= -s.loss),
        Check(
            "most pictures with a second shape, where they are not square",
            TITLES["square-only"],
            f"{TITLES[most]}, {twice[most]:.1%}",
            most == "square-only" and twice[most] > 0,
        ),
        _learned(s, [row[0] for row in accurate["proportional"]]),
    )
    return Judgement(checks, (_table(found), _by_size(found)), _panels(found), NOTES)


def _learned(s: Settings, square: Sequence[float]) -> Check:
    share = interval(square)
    what = "square pictures follow captions, proportional"
    return Check(
        what, f"accuracy of {s.learned:g} or more", str(share), share.mean >= s.learned, control=True
    )


NOTES = (
    "Overfitting is the loss on new pictures minus that on pictures of the training, with new captions and "
    "the same noise.",
)


def _table(found: Results) -> Table:
    rows = []
    for arm in found.arms:
        numbers = [interval([row[0] for row in found.raw(arm, "accuracy")])]
        numbers += [interval(others(found.raw(arm, key))) for key in ("accuracy", "miscounted", "distance")]
        rows.append((TITLES[arm], *map(str, numbers)))
    header = ("", "accuracy, square", "accuracy, others", "not one shape, others", "distance, others")
    return Table("By how buckets are drawn", header, tuple(rows))


def _by_size(found: Results) -> Table:
    rows = []
    for arm in found.arms:
        for key, title in (("repeats", "showings"), ("gap", "overfitting")):
            columns = [interval(column).mean for column in zip(*found.raw(arm, key), strict=True)]
            rows.append((f"{TITLES[arm]}, {title}", *(f"{value:.3g}" for value in columns)))
    return Table("How often a picture was shown, and what came of it", ("", *map(label, SIZES)), tuple(rows))


def _panels(found: Results) -> tuple[Panel, ...]:
    titles = {"accuracy": "Caption accuracy", "miscounted": "Pictures without exactly one shape"}
    axis = ", ".join(f"{i}: {label(size)}" for i, size in enumerate(SIZES))
    return panels(found, titles, range(len(SIZES)), axis, TITLES.__getitem__)


EXPERIMENTS = (
    Experiment(
        name="buckets",
        group="playground",
        title="Balanced aspect buckets",
        claim="Drawing aspect buckets in balance makes pictures of every shape good (Playground v2.5).",
        how="A tiny MMH-DiT learns coloured shapes in five sizes of one area, most of them square. A "
        "batch has one size; arms draw a bucket of n pictures as n^α, or square ones alone.",
        settings=Settings(toy.Toy(steps=1000, batch=48)),
        arms=tuple(ALPHAS),
        measure=measure,
        judge=judge,
        minutes=2.9,
    ),
)
