"""Head counts that differ from block to block: does an allocation of few early and many late learn faster?

Convention: an arm is a list of head counts; all have the same first weights, batches, times and noise.
Source: spec 2.5, 5.3.

b batch  k heads  s tokens  n image tokens
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..mmh_dit import flow
from ..mmh_dit.config import head_allocation
from ..mmh_dit.model import Hooks, MMHDiT
from . import toy
from .experiment import Experiment, Job, Results
from .judgement import Check, Judgement, Line, Panel, Table
from .shapes import ATTRIBUTES, draw
from .shapes_oracle import accuracy, read
from .shapes_text import captions
from .statistics import Interval, area, interval, paired, steps_to

CHECKPOINTS = 10


@dataclass(frozen=True)
class Settings:
    """The model, the counts that are allocated, and how arms are compared."""

    model: toy.Toy
    counts: tuple[int, ...]
    validation: int = 512
    pictures: int = 256
    sampling: int = 20
    cfg: float = 2.0
    wins_share: float = 0.8

    @property
    def depth(self) -> int:
        return len(self.model.heads)


SMALL = Settings(toy.Toy(hidden=96, heads=(4,) * 8, patch=2, steps=400, batch=32), (2, 4, 6, 12))
SPEC = Settings(
    toy.Toy(hidden=192, heads=(8,) * 12, mlp=512, patch=2, width=32, height=32, steps=600, batch=48),
    (2, 4, 8, 16),
)


def allocations(s: Settings) -> dict[str, tuple[int, ...]]:
    """Returns the arms: mmh, reversed, uniform at each count, and at what is nearest to their mean."""
    found = {kind: head_allocation(kind, s.depth, s.counts) for kind in ("mmh", "reversed")}
    found |= {f"uniform-{count}": (count,) * s.depth for count in s.counts}
    mean = sum(s.counts) / len(s.counts)
    possible = [n for n in range(1, s.model.hidden // 4 + 1) if s.model.hidden % (4 * n) == 0]
    near = min(possible, key=lambda n: abs(n - mean))
    return found | {f"uniform-{near}": (near,) * s.depth}


def measure(job: Job) -> dict:
    """Returns the validation loss at ten checkpoints, caption accuracy, and how each block attends."""
    s = job.settings
    model, size = build(job)
    losses: list[float] = []
    every = s.model.steps // CHECKPOINTS
    fixed = [_example(job, 9, i) for i in range(-(-s.validation // s.model.batch))]

    def loss(step: int) -> Tensor:
        return _loss(model, *_example(job, 1, step))

    def look(step: int) -> None:
        job.on_step()
        if step % every == 0 and len(losses) < CHECKPOINTS:
            with torch.no_grad():
                losses.append(float(torch.stack([_loss(model, *each) for each in fixed]).mean()))

    toy.train(model, s.model, loss, on_step=look)
    steps = [every * (i + 1) for i in range(CHECKPOINTS)]
    entropy, distance = attending(model, fixed[0])
    return {
        "parameters": size,
        "steps": steps,
        "losses": losses,
        "area": area(steps, losses),
        "last": losses[-1],
        "accuracy": _accuracy(model, job),
        "entropy": entropy,
        "distance": distance,
    }


def build(job: Job) -> tuple[MMHDiT, int]:
    """Returns the arm's fresh model and its number of weights.

    Raises AssertionError where arms would not have equal weights.
    """
    s = job.settings
    heads = allocations(s)[job.arm]
    model = toy.make(toy.with_heads(s.model, heads), job.generator(0), device=job.device)
    size = sum(weight.numel() for weight in model.parameters())
    assert size == s.model.config.parameters, "a list of heads must not change the number of weights"
    return model, size


def _example(job: Job, *numbers: int) -> tuple[flow.Example, flow.Text]:
    generator = job.generator(*numbers)
    given = toy.batch(job.settings.model, generator, device=job.device)
    return flow.example(given.images, flow.FlowOptions(sigma=0.0), generator), given.text


def _loss(model: MMHDiT, example: flow.Example, text: flow.Text) -> Tensor:
    return flow.loss(model(example.x_t, example.t, *text), example.velocity)


def _accuracy(model: MMHDiT, job: Job) -> float:
    s = job.settings
    scenes = draw(s.pictures, job.generator(2))
    named = torch.ones(s.pictures, len(ATTRIBUTES), dtype=torch.bool)
    how = flow.SampleOptions(steps=s.sampling, cfg=s.cfg)
    made = toy.pictures(model, captions(scenes, named), s.model, job.generator(3), options=how, chunk=64)
    return accuracy(read(made), scenes)


@torch.no_grad()
def attending(model: MMHDiT, given: tuple[flow.Example, flow.Text]) -> tuple[list[float], list[float]]:
    """Returns for each block the mean entropy of image tokens' attention in nats, and the mean distance in
    tokens of what they attend to in the picture."""
    example, text = given
    rows, columns = (side // model.config.patch for side in example.x_t.shape[2:])
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float().to(example.x_t.device)
    apart = torch.cdist(places, places)  # (n, n)
    entropy: list[float] = []
    distance: list[float] = []

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Tensor:
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        weights = (scores if mask is None else scores + mask).softmax(-1)
        image = weights[:, :, -len(places) :]  # (b, k, n, s)
        entropy.append(float(torch.special.entr(image).sum(-1).mean()))
        within = image[..., -len(places) :]
        distance.append(float(((within * apart).sum(-1) / within.sum(-1)).mean()))
        return (weights @ v).transpose(1, 2).flatten(2)

    model(
        example.x_t[:16], example.t[:16], text.tokens[:16], text.mask[:16], hooks=Hooks(attention=attention)
    )
    return entropy, distance


def judge(s: Settings, found: Results) -> Judgement:
    """Compares the mmh list with the best of the uniform ones."""
    uniform = [arm for arm in found.arms if arm.startswith("uniform")]
    areas = {arm: found.values(arm, "area") for arm in found.arms}
    best = min(uniform, key=lambda arm: sum(areas[arm]))
    gap = paired(areas["mmh"], areas[best])
    wins = sum(a < b for a, b in zip(areas["mmh"], areas[best], strict=True))
    need = math.ceil(s.wins_share * len(found.seeds))
    sizes = {int(size) for arm in found.arms for size in found.values(arm, "parameters")}
    checks = (
        Check(
            "weights of all arms",
            "equal",
            ", ".join(f"{n:,}" for n in sorted(sizes)),
            len(sizes) == 1,
            control=True,
        ),
        Check(
            f"seeds in which mmh's area under ln loss is below that of the best uniform list, {best}",
            f"{need} of {len(found.seeds)}",
            f"{wins} of {len(found.seeds)}",
            wins >= need,
        ),
        Check(
            "that area, mmh minus the best uniform list", "below 0, the interval too", str(gap), gap.high < 0
        ),
    )
    return Judgement(checks, (_table(s, found, best), _attention(found)), _panels(found), _notes(found))


def _table(s: Settings, found: Results, best: str) -> Table:
    rows = []
    goal = found.values(best, "last")
    for arm in found.arms:
        numbers = [interval(found.values(arm, key)) for key in ("area", "last", "accuracy")]
        rows.append((arm.replace("-", " "), *map(str, numbers), _reached(found, arm, goal)))
    header = (
        "heads",
        "area under ln loss",
        "last loss",
        "caption accuracy",
        f"steps to {best.replace('-', ' ')}'s last",
    )
    return Table(f"{s.model.steps} steps of {s.model.batch} pictures, {s.depth} blocks", header, tuple(rows))


def _reached(found: Results, arm: str, goals: Sequence[float]) -> str:
    """When an arm has the best uniform list's last loss, in the seeds where it does."""
    curves = zip(found.raw(arm, "steps"), found.raw(arm, "losses"), goals, strict=True)
    when = [steps_to(steps, losses, goal) for steps, losses, goal in curves]
    reached = [step for step in when if step is not None]
    if not reached:
        return "never"
    mean = sum(reached) / len(reached)
    return f"{mean:.0f}" if len(reached) == len(when) else f"{mean:.0f} in {len(reached)} of {len(when)}"


def _attention(found: Results) -> Table:
    rows = []
    for arm in found.arms:
        columns = [sum(c) / len(c) for c in zip(*found.raw(arm, "distance"), strict=True)]
        slope = _fall(found, arm)
        rows.append((arm.replace("-", " "), *(f"{value:.2f}" for value in columns), str(slope)))
    blocks = len(rows[0]) - 2
    header = ("heads", *(f"{i + 1}" for i in range(blocks)), "last quarter minus first")
    return Table("Mean distance of attention in tokens, block by block", header, tuple(rows))


def _fall(found: Results, arm: str) -> Interval:
    """How much shorter the late blocks look than the early ones."""
    falls = []
    for blocks in found.raw(arm, "distance"):
        quarter = max(1, len(blocks) // 4)
        falls.append(sum(blocks[-quarter:]) / quarter - sum(blocks[:quarter]) / quarter)
    return interval(falls)


def _notes(found: Results) -> tuple[str, ...]:
    mmh, back = _fall(found, "mmh"), _fall(found, "reversed")
    areas = paired(found.values("mmh", "area"), found.values("reversed", "area"))
    return (
        "*Early blocks global, late ones local* would let the distance of attention fall with depth, more so "
        f"under mmh: from the first quarter of the blocks to the last it changes by {mmh} under mmh and by "
        f"{back} under the reversed list.",
        f"Area, mmh minus reversed: {areas}.",
    )


def _panels(found: Results) -> tuple[Panel, ...]:
    curves = []
    for arm in found.arms:
        losses = [interval(column) for column in zip(*found.raw(arm, "losses"), strict=True)]
        curves.append(
            Line(arm.replace("-", " "), tuple(found.raw(arm, "steps")[0]), tuple(x.mean for x in losses))
        )
    panels = [Panel("Validation loss", "step", "loss", tuple(curves), log_y=True)]
    for key, title, unit in (
        ("distance", "Distance of attention", "tokens"),
        ("entropy", "Entropy of attention", "nats"),
    ):
        lines = []
        for arm in found.arms:
            means = tuple(sum(c) / len(c) for c in zip(*found.raw(arm, key), strict=True))
            lines.append(Line(arm.replace("-", " "), tuple(range(1, len(means) + 1)), means))
        panels.append(Panel(title, "block", unit, tuple(lines)))
    return tuple(panels)


CLAIM = (
    "A transformer with few heads in early blocks and many in late ones learns better than one with the same "
    "number everywhere (oboro)."
)
HOW = (
    "Tiny models on coloured shapes with captions, {size}, with as many weights in each arm and the same "
    "first weights, pictures, times and noise. Measured is the loss on fixed examples at ten checkpoints."
)

EXPERIMENTS = tuple(
    Experiment(
        name=name,
        group="mmh",
        title=title,
        claim=CLAIM,
        how=HOW.format(size=size),
        settings=settings,
        arms=tuple(allocations(settings)),
        measure=measure,
        judge=judge,
        minutes=minutes,
    )
    for name, title, size, settings, minutes in (
        ("mmh-small", "Head allocation, 8 blocks", "16x16 pixels and 8 blocks of width 96", SMALL, 2.3),
        ("mmh", "Head allocation, 12 blocks", "32x32 pixels and 12 blocks of width 192", SPEC, 77.0),
    )
)
