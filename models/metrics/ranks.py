"""Scores in their order, their mean, and whether what grows in one list grows in another."""

import math
from collections.abc import Sequence

import numpy as np

Values = Sequence[float]


def ascending(scores: Values) -> list[int]:
    """Returns the places of scores from the lowest to the highest; what is no number (NaN) comes first."""
    return sorted(range(len(scores)), key=lambda i: -math.inf if math.isnan(scores[i]) else scores[i])


def mean_known(scores: Values) -> float:
    """Returns the mean of the scores that are numbers; NaN where none is."""
    known = [x for x in scores if not math.isnan(x)]
    return sum(known) / len(known) if known else math.nan


def ranks(values: Values) -> np.ndarray:
    """Returns the ranks from 1; equal values share the mean of theirs."""
    x = np.asarray(values, dtype=np.float64)
    return (x[:, None] > x).sum(1) + ((x[:, None] == x).sum(1) + 1) / 2


def spearman(x: Values, y: Values) -> float:
    """Returns the rank correlation, -1 to 1; 0 where one side does not vary."""
    a, b = (ranks(each) - (len(each) + 1) / 2 for each in (x, y))
    norm = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm else 0.0
