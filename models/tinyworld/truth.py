"""What the best possible language model would say of the little world's tags, summed exactly.

Convention: a list of tags is a set in uniformly random order, as training samples are. With T_s the first k
of the n tags T_d, and the length bucket known,

    p(T_d in order | T_s in order, bucket) = p(T_d) / n!  /  sum_m p(T_s in the set, m tags) (m - k)! / m!

over the m of the bucket. p(set) is one elimination; the sizes m come from a generating function in z,
evaluated on the unit circle and turned back by a Fourier transform.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import lgamma, log, pi

import torch

from .net import Factor, eliminate
from .scene import world
from .tags import DETAIL, META, SPECIAL, TAGS, presence

POINTS = 96  # more than the tags any scene has
CAP = 72  # records are cut there, so none of the sums goes further


@dataclass(frozen=True)
class Given:
    """What a request tells beside its general tags: observed attributes and the complete fixed tags.

    `fixed` are the special and meta tags that hold; of these categories no other tag does. None of a category
    known: leave `fixed` None.
    """

    attributes: Mapping[str, str]
    fixed: Collection[str] | None = None


@cache
def _presences() -> dict[str, Factor]:
    return {tag: presence(tag) for tag in (*SPECIAL, *TAGS, *META)}


def _base(given: Given) -> list[Factor]:
    """The world, the detail of the record, and all evidence but the general tags."""
    factors = [*world().tables.values(), *world().observe(given.attributes)]
    factors.append((("detail",), torch.tensor([share for share, _ in DETAIL.values()], dtype=torch.float64)))
    if given.fixed is not None:
        for tag in (*SPECIAL, *META):
            scope, table = _presences()[tag]
            factors.append((scope, table if tag in given.fixed else 1 - table))
    return factors


def _chances(tag: str) -> Factor:
    """Chance that a record mentions the tag, over the tag's attributes and the detail."""
    scope, table = _presences()[tag]
    mentions = torch.tensor([chance for _, chance in DETAIL.values()], dtype=torch.float64)
    return (*scope, "detail"), table.unsqueeze(-1) * mentions


def _merge(factors: Sequence[Factor]) -> list[Factor]:
    """Factors of the same scope multiplied into one."""
    merged: dict[tuple[str, ...], torch.Tensor] = {}
    for scope, table in factors:
        merged[scope] = merged[scope] * table if scope in merged else table
    return list(merged.items())


def mention_rates(given: Given | None = None) -> dict[str, float]:
    """Returns for each general tag the chance that a record mentions it."""
    base = _base(given or Given({}))
    total = float(eliminate(base, ()))
    return {tag: float(eliminate([*base, _chances(tag)], ())) / total for tag in TAGS}


def log_set(tags: Collection[str], given: Given) -> float:
    """Returns log p(the record mentions exactly these general tags, and the evidence), in nats."""
    found = []
    for tag in TAGS:
        scope, chance = _chances(tag)
        found.append((scope, chance if tag in tags else 1 - chance))
    mass = float(eliminate([*_base(given), *_merge(found)], ()))
    return log(mass) if mass > 0 else float("-inf")


def log_supersets(tags: Collection[str], given: Given) -> torch.Tensor:
    """Returns log p(these tags are mentioned, m in all, and the evidence) for m = 0 .. POINTS - 1."""
    z = torch.exp(2j * pi * torch.arange(POINTS // 2 + 1, dtype=torch.float64) / POINTS)
    found = []
    for tag in TAGS:
        scope, chance = _chances(tag)
        chance = chance.unsqueeze(-1).to(z.dtype)
        found.append(((*scope, "z"), chance * z if tag in tags else 1 - chance * (1 - z)))
    values = eliminate([*_base(given), *_merge(found)], ("z",))
    # sum_m c_m e^{+2 pi i m j / N} at half of the points; the coefficients are real.
    return torch.fft.irfft(values.conj(), n=POINTS).clamp_min(0).log()


def continuation_nll(
    start: Sequence[str], rest: Sequence[str], given: Given, *, bucket: tuple[int, int]
) -> float:
    """Returns -log p(rest in this order, then the end | start in this order, size in the bucket), in nats.

    Raises:
        ValueError: the whole list lies outside the bucket or at the cap, where lists are cut.
    """
    n, k = len(start) + len(rest), len(start)
    low, high = bucket
    if not low <= n <= high or n >= CAP:
        raise ValueError(f"a list must have {low} to {min(high, CAP - 1)} tags, got {n}")
    joint = log_set({*start, *rest}, given) - lgamma(n + 1)
    sizes = log_supersets(set(start), given)
    terms = [float(sizes[m]) + lgamma(m - k + 1) - lgamma(m + 1) for m in range(max(low, k), high + 1)]
    return float(torch.tensor(terms, dtype=torch.float64).logsumexp(0)) - joint


def unigram_nll(
    start: Sequence[str],
    rest: Sequence[str],
    rates: Mapping[str, float],
    *,
    sizes: Mapping[int, float],
    bucket: tuple[int, int],
) -> float:
    """Returns the same for a model that knows how often each tag and each size of list occurs, no more."""
    inside = {m: p for m, p in sizes.items() if bucket[0] <= m <= bucket[1]}
    left = {tag: rate for tag, rate in rates.items() if tag not in start}
    total, nll = sum(left.values()), 0.0
    for i, tag in enumerate(rest):
        nll -= log(left[tag] / total) + log(1 - _stops(len(start) + i, inside))
        total -= left.pop(tag)
    return nll - log(_stops(len(start) + len(rest), inside))


def _stops(n: int, sizes: Mapping[int, float]) -> float:
    """Chance that a list of at least n tags has exactly n."""
    tail = sum(p for m, p in sizes.items() if m >= n)
    return sizes.get(n, 0.0) / tail if tail else 1.0
