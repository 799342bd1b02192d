"""Learning rates by step: milestones with straight lines between, or a warm-up and a cosine.

Source: specification 2.8 (milestones); UwULLM's recipe for TIPO (cosine).
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from .options import FitOptions

Milestones = tuple[tuple[int, float], ...]


def milestones(text: str) -> Milestones:
    """Returns the milestones that `0:0,1000:2e-4` lists, as (step, learning rate).

    Raises:
        ValueError: it is no such list, steps do not rise, or a learning rate is negative.
    """
    try:
        pairs = [entry.split(":") for entry in text.split(",")]
        found = tuple((int(step), float(lr)) for step, lr in pairs)
    except ValueError:
        raise ValueError(f"milestones must read like 0:0,1000:2e-4 (step:rate), got {text!r}") from None
    if any(a >= b for (a, _), (b, _) in pairwise(found)) or found[0][0] < 0:
        raise ValueError(f"milestones must name steps that rise from 0 on, got {text!r}")
    if not all(0 <= lr < math.inf for _, lr in found):
        raise ValueError(f"milestones must name rates of at least 0, got {text!r}")
    return found


def between(points: Sequence[tuple[int, float]], step: int) -> float:
    """Returns the rate at a step: on the line between its neighbours, before the first and after the last
    milestone theirs."""
    if step <= points[0][0]:
        return points[0][1]
    for (a, low), (b, high) in pairwise(points):
        if step <= b:
            return low + (high - low) * (step - a) / (b - a)
    return points[-1][1]


def cosine(step: int, *, steps: int, warmup: int) -> float:
    """Returns the share of the highest learning rate at a step: warm-up, then a cosine down to 1 %."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def schedule(options: FitOptions) -> Callable[[int], float]:
    """Returns the function that gives the learning rate of a step, which counts from 0."""
    if options.milestones:
        points = milestones(options.milestones)
        return lambda step: between(points, step)
    return lambda step: options.lr * cosine(step, steps=options.steps, warmup=options.warmup)
