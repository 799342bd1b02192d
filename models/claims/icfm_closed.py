"""I-CFM where everything can be computed: what is learned, and where the flow ends, for Gaussian data.

For data N(m, s²) the best velocity at x and t is m + [(t·s² - (1 - t)) / (t²s² + (1 - t)² + σ²)]·(x - t·m).
Its flow begins at N(0, 1 + σ²) and ends at N(m, s² + σ²): noise on the path stays in the sample.
Source: spec 2.6, 5.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..mmh_dit import flow
from .experiment import Experiment, Job, Results
from .judgement import Check, Judgement, Line, Panel, Table
from .statistics import interval

CHUNK = 1 << 20


@dataclass(frozen=True)
class Settings:
    """Data N(mean, std²), and how closely theory has to be met."""

    mean: float = 0.3
    std: float = 0.4
    samples: int = (
        1 << 27
    )  # a slope then has a standard error of 2.4e-4 at most, so chance alone does not fail it
    times: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    steps: int = 400
    slope_error: float = 1e-3
    end_error: float = 1e-3


def arm_sigma(arm: str) -> float:
    """Returns the sigma in an arm's name."""
    return float(arm.removeprefix("sigma-"))


def best_slope(t: float, std: float, sigma: float) -> float:
    """Returns the slope of the best velocity over x - t·mean."""
    return (t * std**2 - (1 - t)) / (t**2 * std**2 + (1 - t) ** 2 + sigma**2)


def measure(job: Job) -> dict:
    """Returns slopes of a regression on drawn examples, and the end of the flow along the best velocity."""
    s, sigma = job.settings, arm_sigma(job.arm)
    slopes = [_regressed(job, t, sigma) for t in s.times]
    wanted = [best_slope(t, s.std, sigma) for t in s.times]
    mean, std = _end(s, sigma)
    errors = [abs(a - b) for a, b in zip(slopes, wanted, strict=True)]
    return {"slopes": slopes, "slope_error": max(errors), "end_mean": mean, "end_std": std}


def _regressed(job: Job, t: float, sigma: float) -> float:
    """The slope of velocity over x_t, of examples of the path."""
    s, generator = job.settings, job.generator(round(1000 * t))
    n = xx = xv = x_sum = v_sum = 0.0
    for begin in range(0, s.samples, CHUNK):
        count = min(CHUNK, s.samples - begin)
        x_1 = s.mean + s.std * torch.randn(count, generator=generator)
        x_0, noise = torch.randn(2, count, generator=generator)
        x_t = flow.path(x_0, x_1, torch.full((count,), t), sigma=sigma, noise=noise).double()
        v = flow.target(x_0, x_1).double()
        n, x_sum, v_sum = n + count, x_sum + float(x_t.sum()), v_sum + float(v.sum())
        xx, xv = xx + float(x_t @ x_t), xv + float(x_t @ v)
    return (xv - x_sum * v_sum / n) / (xx - x_sum**2 / n)


def _end(s: Settings, sigma: float) -> tuple[float, float]:
    """Mean and std at t = 1 of the flow along the best velocity; it is affine, so two points tell all."""

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        at = float(t[0])
        return s.mean + best_slope(at, s.std, sigma) * (x - at * s.mean)

    begin = flow.start(torch.tensor([-1.0, 1.0], dtype=torch.float64), sigma=sigma)
    *_, end = flow.heun(velocity, begin, flow.times(s.steps))
    low, high = end.tolist()
    return (low + high) / 2, (high - low) / 2


def judge(s: Settings, found: Results) -> Judgement:
    """Compares slopes and ends with the formulas."""
    rows, errors, ends = [], [], []
    for arm in found.arms:
        sigma = arm_sigma(arm)
        wanted = math.sqrt(s.std**2 + sigma**2)
        errors += found.values(arm, "slope_error")
        ends += [abs(value - wanted) for value in found.values(arm, "end_std")]
        end = interval(found.values(arm, "end_std")).mean
        rows.append(
            (f"{sigma:g}", f"{max(found.values(arm, 'slope_error')):.1e}", f"{end:.4f}", f"{wanted:.4f}")
        )
    return Judgement(
        (
            _below("error of the slopes", max(errors), s.slope_error),
            _below("error of the last std", max(ends), s.end_error),
        ),
        (
            Table(
                "By sigma", ("sigma", "largest error of a slope", "std at the end", "√(s² + σ²)"), tuple(rows)
            ),
        ),
        (_panel(s, found),),
        (
            f"Data of std {s.std:g} come out wider the more noise the path has; the *grainy texture* that "
            "oboro's authors saw may be that. A sigma of 0.01 or less is not seen in latents of unit scale.",
        ),
    )


def _below(what: str, found: float, most: float) -> Check:
    return Check(what, f"at most {most:g}", f"{found:.2g}", found <= most)


def _panel(s: Settings, found: Results) -> Panel:
    lines = []
    for arm in found.arms:
        means = [sum(column) / len(column) for column in zip(*found.raw(arm, "slopes"), strict=True)]
        lines.append(Line(f"sigma {arm_sigma(arm):g}", s.times, tuple(means)))
    return Panel("Slope of the velocity", "t", "slope over x", tuple(lines))


EXPERIMENTS = (
    Experiment(
        name="icfm-closed",
        group="icfm",
        title="I-CFM in closed form",
        claim="I-CFM learns the velocity of a path with noise of width sigma (oboro trains with it); what is "
        "known of that path should come out exactly.",
        how="Gaussian data: the regression on drawn examples against the formula for the best velocity, and "
        "the flow along that velocity, from N(0, 1 + σ²), to its end.",
        settings=Settings(),
        arms=("sigma-0", "sigma-0.1", "sigma-0.3"),
        measure=measure,
        judge=judge,
        minutes=0.25,
    ),
)
