"""Rank correlation: whether what grows in one list grows in another."""

import math
from collections.abc import Sequence

import numpy as np

Values = Sequence[float]


def ranks(values: Values) -> np.ndarray:
    """Returns the ranks from 1; equal values share the mean of theirs."""
    x = np.asarray(values, dtype=np.float64)
    return (x[:, None] > x).sum(1) + ((x[:, None] == x).sum(1) + 1) / 2


def spearman(x: Values, y: Values) -> float:
    """Returns the rank correlation, -1 to 1; 0 where one side does not vary."""
    a, b = (ranks(each) - (len(each) + 1) / 2 for each in (x, y))
    norm = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm else 0.0
