"""Mixing what text encoders make of one prompt: token by token, with weights, and not normalised after.

e = sum_i w_i T_i(prompt), pooled states alike; interpolation is the mix of two, (1 - w) T_0 + w T_tuned.
What has weight 0 takes no part, and one alone with weight 1 comes out bit for bit.
Sources: Li et al. 2024, "TextCraftor: Your Text Encoder Can be Image Quality Controller", and its code;
spec 3.6.

b batch  m text tokens  d width  e width of pooled states
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .options import WEIGHTINGS, MixOptions

NEARLY = 1e-6  # a sum of weights that cannot be divided by; and steps that rounding alone keeps apart


class States(NamedTuple):
    """What an encoder makes of a prompt: `hidden` (b, m, d), and `pooled` (b, e) where it has that."""

    hidden: Tensor
    pooled: Tensor | None = None


# Weights


def normalized(weights: Sequence[float], weighting: str = "normalize") -> tuple[float, ...]:
    """Returns the weights divided by their sum, or as they are where weighting is "raw".

    Raises:
        ValueError: a weight is no number, all are 0, or their sum is 0 and would divide them.
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting must be one of {', '.join(WEIGHTINGS)}; got {weighting!r}")
    said = ", ".join(f"{weight:g}" for weight in weights)
    if not weights or not any(weights) or not all(map(math.isfinite, weights)):
        raise ValueError(f"weights must be numbers and not all 0, got {said or 'none'}")
    if weighting == "raw":
        return tuple(map(float, weights))
    total = math.fsum(weights)
    if abs(total) < NEARLY:
        raise ValueError(f"weights must not add up to 0, got {said}; change one, or set weighting to raw")
    return tuple(weight / total for weight in weights)


def shares(weights: Sequence[float], *, w: float = 1.0, weighting: str = "normalize") -> tuple[float, ...]:
    """Returns what the original encoder and then each of the others gets: 1 - w, w·w_1, w·w_2 ..."""
    return (1.0 - w, *(w * weight for weight in normalized(weights, weighting)))


# States


def mix(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Returns the weighted sum of tensors of one shape, added up in float32, in the type of the first.

    Raises:
        ValueError: the shapes differ, or there is not a weight for each.
    """
    used = _used(tensors, weights)
    first = used[0][0]
    shapes = dict.fromkeys(tuple(tensor.shape) for tensor, _ in used)
    if len(shapes) > 1:
        raise ValueError(
            f"encoders that are mixed must give states of one shape, got {' and '.join(map(str, shapes))}; "
            "mix encoders of one kind, with the same text"
        )
    if len(used) == 1 and used[0][1] == 1:
        return first
    kind = torch.promote_types(first.dtype, torch.float32)
    total = used[0][1] * first.to(kind)
    for tensor, weight in used[1:]:
        total = total + weight * tensor.to(total)
    return total.to(first.dtype)


def mix_states(states: Sequence[States], weights: Sequence[float]) -> States:
    """Returns the mix of hidden states, and of pooled ones where every encoder that counts has them."""
    used = _used(states, weights)
    counted = [weight for _, weight in used]
    hidden = mix([each.hidden for each, _ in used], counted)
    pooled = [each.pooled for each, _ in used]
    return States(hidden, None if any(one is None for one in pooled) else mix(pooled, counted))


def _used(things: Sequence, weights: Sequence[float]) -> list[tuple]:
    if len(things) != len(weights):
        raise ValueError(f"there must be a weight for each encoder, got {len(weights)} for {len(things)}")
    used = [(thing, weight) for thing, weight in zip(things, weights, strict=True) if weight]
    if not used:
        raise ValueError("at least one weight must not be 0")
    return used


# Steps


def first_step(steps: int, share: float = 0.4) -> int:
    """Returns the index of the first of so many steps that lies at or behind a share of them.

    TextCraftor's code writes 25 - 15 here whatever the number of steps is; 0.4 is what it means (spec 3.3).
    """
    return math.ceil(share * steps - NEARLY)


class Span(NamedTuple):
    """A run of steps, from a share of them to another, and the w in it."""

    start: float
    end: float
    w: float


def spans(options: MixOptions, *, negative: bool = False) -> tuple[Span, ...]:
    """Returns the runs of steps with their w, without a gap from 0 to 1; one where nothing changes."""
    w = options.strength(negative=negative)
    cut = (Span(0.0, options.start, 0.0), Span(options.start, options.end, w), Span(options.end, 1.0, 0.0))
    found = tuple(span for span in cut if span.start < span.end)
    return (Span(0.0, 1.0, found[0].w),) if len({span.w for span in found}) == 1 else found


def steps_of(span: Span, steps: int) -> range:
    """Returns the indices of the steps that lie in a span; those of all spans together are every step."""
    return range(first_step(steps, span.start), first_step(steps, span.end))


def w_of_step(step: int, steps: int, options: MixOptions, *, negative: bool = False) -> float:
    """Returns the w in step 0 to steps - 1."""
    found = [span.w for span in spans(options, negative=negative) if step in steps_of(span, steps)]
    if not found:
        raise ValueError(f"step must be one of 0 to {steps - 1}, got {step}")
    return found[0]


def sweep(first: float, last: float, count: int) -> tuple[float, ...]:
    """Returns so many places evenly apart, rounded so that they can be read; one alone is the first."""
    if count < 1:
        raise ValueError(f"a sweep must have at least one place, got {count}")
    step = (last - first) / max(count - 1, 1)
    return tuple(round(first + k * step, 6) for k in range(count))


def triangle(side: int) -> list[list[tuple[float, float, float]]]:
    """Returns the rows of a triangle with `side` mixes of three along each edge, from the first at the top to
    the second and the third at the bottom.

    Raises:
        ValueError: a triangle has at least two along an edge.
    """
    if side < 2:
        raise ValueError(f"a triangle must have at least 2 mixes along an edge, got {side}")
    whole = side - 1
    return [
        [tuple(n / whole for n in (whole - row, row - k, k)) for k in range(row + 1)] for row in range(side)
    ]
