"""Text presampling where every score is exact: a mixture of Gaussians that prompts describe in part.

A point's shape says on which side it lies, its colour where on a circle. A short prompt names the shape; a
detailed one, drawn by a language model, also the colour. Guidance sharpens whatever is conditioned on.
Source: spec 1.1, 5.2 (exact version).

b batch  k colours
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..metrics.frechet import frechet_distance
from ..playground.samplers import sample
from ..playground.schedules import karras
from .drawn import panels
from .experiment import Experiment, Job, Results
from .judgement import Check, Judgement, Panel, Table
from .statistics import counts, interval, paired, total_variation

COLOURS, SHAPES = 8, 2
ARMS = ("simple", "presampled", "wrong-lm")
TITLES = {"simple": "short prompt", "presampled": "presampled", "wrong-lm": "wrong language model"}


@dataclass(frozen=True)
class Settings:
    """The mixture, how it is sampled, and the thresholds."""

    radius: float = 2.0
    apart: float = 1.0
    std: float = 0.3
    skew: float = 0.5
    points: int = 4096
    steps: int = 60
    sigma_max: float = 40.0
    guidance: tuple[float, ...] = (1.0, 3.0, 6.0)
    distance_fall: float = 0.4
    variation_fall: float = 0.8
    same: float = 0.02


def means(s: Settings) -> Tensor:
    """Returns the means (2, k, 3) of shapes and colours."""
    angle = 2 * math.pi * torch.arange(COLOURS) / COLOURS
    ring = s.radius * torch.stack((angle.cos(), angle.sin()), 1)
    side = torch.tensor([-s.apart, s.apart])
    parts = ring.expand(SHAPES, -1, -1), side[:, None, None].expand(-1, COLOURS, 1)
    return torch.cat(parts, 2)


def colours(s: Settings) -> Tensor:
    """Returns p(colour | shape) (2, k): one shape leans to the first colours, the other to the last."""
    lean = s.skew * (torch.arange(COLOURS) - (COLOURS - 1) / 2)
    return torch.stack((torch.softmax(-lean, 0), torch.softmax(lean, 0)))


def denoised(s: Settings, x: Tensor, sigma: Tensor, weights: Tensor) -> Tensor:
    """Returns the mean of what x (b, 3) was before noise sigma (b), under mixtures with weights (b, 2k)."""
    centre = means(s).flatten(0, 1)
    variance = s.std**2 + sigma[:, None] ** 2
    share = torch.softmax(weights.log() - torch.cdist(x, centre) ** 2 / (2 * variance), 1)
    kept = s.std**2 / variance
    return kept * x + (1 - kept) * (share @ centre)


def weights_of(s: Settings, shape: int, colour: Tensor | None, count: int) -> Tensor:
    """Returns the mixture (count, 2k) that a prompt of a shape, and maybe a colour (count), describes."""
    whole = torch.zeros(count, SHAPES, COLOURS)
    if colour is None:
        whole[:, shape] = colours(s)[shape]
    else:
        whole[torch.arange(count), shape, colour] = 1.0
    return whole.flatten(1)


def paint(s: Settings, conditional: Tensor, guidance: float, noise: Tensor) -> Tensor:
    """Returns points (b, 3) of mixtures (b, 2k), under guidance against the whole mixture."""
    whole = (colours(s) / SHAPES).flatten()[None]

    def ask(x: Tensor, sigma: Tensor) -> Tensor:
        cond = denoised(s, x, sigma, conditional)
        uncond = denoised(s, x, sigma, whole)
        return uncond + guidance * (cond - uncond)

    return sample(ask, noise, karras(s.steps, sigma_max=s.sigma_max, sigma_min=0.01), sampler="heun")


def measure(job: Job) -> dict:
    """Returns distances and total variations from the truth at each guidance, means over both shapes."""
    s, found = job.settings, {"distance": [], "variation": []}
    for guidance in s.guidance:
        looks = [_looks(job, shape, guidance) for shape in range(SHAPES)]
        for key, values in zip(found, zip(*looks, strict=True), strict=True):
            found[key].append(sum(values) / SHAPES)
    return found


def _looks(job: Job, shape: int, guidance: float) -> tuple[float, float]:
    s, generator = job.settings, job.generator(shape)
    share = colours(s)[shape]
    noise = torch.randn(s.points, 3, generator=generator)
    said = torch.multinomial(share, s.points, replacement=True, generator=generator)
    wrong = torch.randint(COLOURS, (s.points,), generator=generator)
    real = torch.multinomial(share, s.points, replacement=True, generator=generator)
    truth = means(s)[shape][real] + s.std * torch.randn(s.points, 3, generator=generator)
    colour = {"simple": None, "presampled": said, "wrong-lm": wrong}[job.arm]
    x = paint(s, weights_of(s, shape, colour, s.points), guidance, noise)
    nearest = torch.cdist(x, means(s).flatten(0, 1)).argmin(1) % COLOURS
    return frechet_distance(x, truth), total_variation(counts(nearest, sizes=(COLOURS,)), share)


def judge(s: Settings, found: Results) -> Judgement:
    """Asks that presampling helps under guidance, changes nothing without, and needs the right model."""
    at = {guidance: place for place, guidance in enumerate(s.guidance)}

    def column(arm: str, key: str, guidance: float) -> list[float]:
        return [row[at[guidance]] for row in found.raw(arm, key)]

    falls = {}
    for key in ("distance", "variation"):
        before, after = (interval(column(arm, key, 3.0)).mean for arm in ("simple", "presampled"))
        falls[key] = 1 - after / before
    plain = paired(column("presampled", "distance", 1.0), column("simple", "distance", 1.0))
    worse = [
        paired(column("wrong-lm", "distance", g), column("presampled", "distance", g)) for g in s.guidance
    ]
    checks = (
        Check(
            "fall of the Fréchet distance by presampling, guidance 3",
            f"at least {s.distance_fall:.0%}",
            f"{falls['distance']:.0%}",
            falls["distance"] >= s.distance_fall,
        ),
        Check(
            "fall of the colours' total variation, guidance 3",
            f"at least {s.variation_fall:.0%}",
            f"{falls['variation']:.0%}",
            falls["variation"] >= s.variation_fall,
        ),
        Check(
            "change of the distance at guidance 1", f"below {s.same:g}", str(plain), abs(plain.mean) < s.same
        ),
        Check(
            "distance with a wrong language model minus presampled, every guidance",
            "above 0",
            "; ".join(map(str, worse)),
            all(each.mean > 0 for each in worse),
        ),
    )
    return Judgement(checks, (_table(s, found),), _panels(s, found))


def _table(s: Settings, found: Results) -> Table:
    rows = []
    for place, guidance in enumerate(s.guidance):
        for arm in found.arms:
            numbers = [
                interval([row[place] for row in found.raw(arm, key)]) for key in ("distance", "variation")
            ]
            rows.append((f"{guidance:g}, {TITLES[arm]}", *map(str, numbers)))
    return Table("By guidance", ("", "Fréchet distance", "total variation of colours"), tuple(rows))


def _panels(s: Settings, found: Results) -> tuple[Panel, ...]:
    titles = {"distance": "Fréchet distance", "variation": "Total variation of colours"}
    return panels(found, titles, s.guidance, "guidance", TITLES.__getitem__)


EXPERIMENTS = (
    Experiment(
        name="presampling-exact",
        group="tipo",
        title="Presampling with exact scores",
        claim="Drawing a detailed prompt first and a picture of it then covers what a short prompt means "
        "better than drawing from the short prompt (TIPO).",
        how="A mixture of two shapes and eight colours, with exact scores and guidance. Presampling "
        "draws the colour from the true distribution given the shape; a wrong one draws it evenly.",
        settings=Settings(),
        arms=ARMS,
        measure=measure,
        judge=judge,
        minutes=0.02,
    ),
)
