"""The statistics of the experiments: intervals of paired differences, areas under curves of a loss.

Convention: values come one for each seed, in the order of the seeds, so two lists of them are pairs.
Source: spec 5.1 (paired by seed, 95 % bootstrap intervals), 5.3 (area under the log-loss curve).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Values = Sequence[float]
SEED = 20_240_917  # of the bootstrap's draws, the same for every interval


@dataclass(frozen=True)
class Interval:
    """A mean of `count` values and the bounds between which a bootstrap finds it."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"


def interval(values: Values, *, draws: int = 10_000, level: float = 0.95) -> Interval:
    """Returns the mean of values and its percentile bootstrap interval; the same values, the same interval.

    Raises ValueError for no values, or for one that is not finite.
    """
    x = np.asarray(values, dtype=np.float64)
    if not len(x) or not np.isfinite(x).all():
        raise ValueError(f"an interval needs finite values, at least one; got {list(values)}")
    means = x[np.random.default_rng(SEED).integers(len(x), size=(draws, len(x)))].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(x.mean()), float(low), float(high), len(x))


def paired(a: Values, b: Values, *, draws: int = 10_000, level: float = 0.95) -> Interval:
    """Returns the mean of a - b with its interval, seed by seed."""
    if len(a) != len(b):
        raise ValueError(f"pairs need equally many values, got {len(a)} and {len(b)}")
    return interval([x - y for x, y in zip(a, b, strict=True)], draws=draws, level=level)


def slope(x: Values, y: Values) -> float:
    """Returns the slope of the least-squares line of y over x."""
    a = np.asarray(x, dtype=np.float64)
    a = a - a.mean()
    return float((a * np.asarray(y, dtype=np.float64)).sum() / (a * a).sum())


def area(steps: Values, losses: Values) -> float:
    """Returns the mean height of the curve ln(loss) over the steps, by the trapezoid rule."""
    x, y = np.asarray(steps, dtype=np.float64), np.log(np.asarray(losses, dtype=np.float64))
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / (x[-1] - x[0]))


def steps_to(steps: Values, losses: Values, level: float) -> float | None:
    """Returns when the loss is first at most `level`, by straight lines of ln(loss), or None for never."""
    before = None
    for step, loss in zip(steps, losses, strict=True):
        if loss <= level:
            if before is None or loss == before[1]:
                return float(step)
            share = math.log(before[1] / level) / math.log(before[1] / loss)
            return before[0] + share * (step - before[0])
        before = step, loss
    return None


def total_variation(p: Tensor, q: Tensor) -> float:
    """Returns half the sum of |p - q| of two tables of shares or counts of any shape; 0 (same) to 1."""
    p, q = (each.double() / each.sum() for each in (p, q))
    return 0.5 * float((p - q).abs().sum())


def coverage(found: Tensor, true: Tensor) -> float:
    """Returns the share of cells with true probability that are found at least half as often as expected."""
    expected = true.double() / true.sum() * found.sum()
    cells = true > 0
    return float((found[cells] >= 0.5 * expected[cells]).double().mean())


def counts(*columns: Tensor, sizes: Sequence[int]) -> Tensor:
    """Returns how often each combination of values occurs, as a table of the shape `sizes`."""
    index = torch.zeros_like(columns[0])
    for column, size in zip(columns, sizes, strict=True):
        index = index * size + column
    return torch.bincount(index, minlength=math.prod(sizes)).reshape(*sizes)
