"""Draws batches from aspect buckets so that rare shapes are learnt: one of n pictures as often as n^alpha.

Convention: an epoch is as many showings as there are pictures. Every `window` batches a bucket has the same
number of them, its quota, in an order of that window's own; its pictures come in one order after another,
each with all of them. So batch `number` follows from seed and number alone, is of one bucket on all
processes, and twice the processes with half the batch see the same.
Source: spec 4.6; alpha 1 is proportional, as SDXL and NovelAI, 0 is all buckets alike.

b buckets  n pictures of a bucket
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ..options import option, validate
from ..seeds import generator_for
from .buckets import Size, label, ratio


@dataclass(frozen=True)
class BalanceOptions:
    """How often the buckets are drawn."""

    alpha: float = option(0.5, "A bucket of n pictures is drawn as n^alpha; 1 is as the data.", low=0, high=1)
    repeats: float = option(
        4.0, "Most showings of a picture in an epoch, unless its shape fills no batch.", low=1, high=1000
    )
    window: int = option(1000, "Batches within which every bucket has at least one.", low=1, high=10**6)

    def __post_init__(self):
        validate(self)


def probabilities(counts: Sequence[int], options: BalanceOptions) -> list[float]:
    """Returns p (b) with p ∝ counts^alpha, where no p is above repeats · its share of the pictures.

    What a cap takes off goes to the others in their proportion.
    """
    total = sum(counts)
    if total < 1 or min(counts) < 0:
        raise ValueError(f"counts must be 0 or more, and one above 0, got {list(counts)}")
    most = [options.repeats * n / total for n in counts]
    wanted = [float(n) ** options.alpha if n else 0.0 for n in counts]
    capped: set[int] = set()
    while True:
        left = 1 - sum(most[i] for i in capped)
        open_ = sum(w for i, w in enumerate(wanted) if i not in capped)
        p = [most[i] if i in capped else left * w / open_ for i, w in enumerate(wanted)]
        over = {i for i in range(len(p)) if p[i] > most[i] * (1 + 1e-12)}
        if not over:
            return p
        capped |= over


def quotas(counts: Sequence[int], options: BalanceOptions) -> list[int]:
    """Returns how many of `window` batches each bucket has: at least one if it has pictures.

    Raises:
        ValueError: there are more buckets with pictures than batches.
    """
    p, filled = probabilities(counts, options), [i for i, n in enumerate(counts) if n]
    if len(filled) > options.window:
        raise ValueError(f"window must be at least the {len(filled)} buckets, got {options.window}; raise it")
    exact = [options.window * share for share in p]
    made = [max(int(share), 1 if counts[i] else 0) for i, share in enumerate(exact)]
    while (missing := options.window - sum(made)) != 0:
        step = 1 if missing > 0 else -1
        can = [i for i in filled if step > 0 or made[i] > 1]
        # The one that is furthest from its share comes nearer to it.
        made[max(can, key=lambda i: step * (exact[i] - made[i]))] += step
    return made


class Pick(NamedTuple):
    """A batch: the index of its bucket, and its pictures, as indices into that bucket."""

    bucket: int
    rows: list[int]


@dataclass(frozen=True)
class BalancedBatches:
    """Batch `number` of a training, for any number from 0 on.

    `counts` are the pictures of each bucket, `batch` the size of one process's batch, `rank` this process and
    `count` how many there are. A picture is in a batch twice only where its bucket has fewer than the batch,
    or where one order of the bucket ends and the next one begins.
    """

    counts: tuple[int, ...]
    batch: int
    options: BalanceOptions = BalanceOptions()
    seed: int = 0
    rank: int = 0
    count: int = 1
    _kept: dict = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self):
        if self.batch < 1 or not 0 <= self.rank < self.count:
            got = f"batch {self.batch}, rank {self.rank} of {self.count}"
            raise ValueError(f"batch must be at least 1 and rank below count, got {got}")

    @cached_property
    def quotas(self) -> list[int]:
        """How many of a window's batches each bucket has."""
        return quotas(self.counts, self.options)

    def __getitem__(self, number: int) -> Pick:
        bucket, turn = self.locate(number)
        first = (turn * self.count + self.rank) * self.batch
        return Pick(bucket, self.rows(bucket, first, first + self.batch))

    def locate(self, number: int) -> tuple[int, int]:
        """Returns the bucket of a batch, and how many batches that bucket has had before."""
        window, place = divmod(number, self.options.window)
        order = self._order(window)
        bucket = int(order[place])
        return bucket, window * self.quotas[bucket] + int((order[:place] == bucket).sum())

    def rows(self, bucket: int, start: int, stop: int) -> list[int]:
        """Returns the pictures start..stop of a bucket's endless stream."""
        n = self.counts[bucket]
        passes = range(start // n, (stop - 1) // n + 1)
        some = torch.cat([self._permutation(bucket, number) for number in passes])
        return some[start - passes[0] * n : stop - passes[0] * n].tolist()

    def _order(self, window: int) -> Tensor:
        if self._kept.get("window") != window:
            buckets = torch.arange(len(self.counts)).repeat_interleave(torch.tensor(self.quotas))
            drawn = torch.randperm(len(buckets), generator=generator_for(self.seed, 21, window))
            self._kept.update(window=window, order=buckets[drawn])
        return self._kept["order"]

    def _permutation(self, bucket: int, number: int) -> Tensor:
        """The order of pass `number` through a bucket; the last of each bucket is kept."""
        kept = self._kept.setdefault("permutations", {})
        if kept.get(bucket, (None,))[0] != number:
            generator = generator_for(self.seed, 22, bucket, number)
            kept[bucket] = number, torch.randperm(self.counts[bucket], generator=generator)
        return kept[bucket][1]


class Line(NamedTuple):
    """What becomes of a bucket: pictures, their share of the data and of training, showings in an epoch."""

    size: Size
    pictures: int
    share: float
    drawn: float
    repeats: float


def report(
    sizes: Sequence[Size], counts: Sequence[int], options: BalanceOptions | None = None
) -> tuple[Line, ...]:
    """Returns a line for every bucket with pictures: the aspects that a training really sees."""
    options = options or BalanceOptions()
    total, found = sum(counts), []
    for size, n, quota in zip(sizes, counts, quotas(counts, options), strict=True):
        if n:
            drawn = quota / options.window
            found.append(Line(size, n, n / total, drawn, drawn * total / n))
    return tuple(found)


def table(lines: Sequence[Line]) -> str:
    """Returns the lines as a table for people."""
    rows = [("bucket", "ratio", "pictures", "of the data", "of training", "showings in an epoch")]
    for line in lines:
        shares = f"{line.share:.1%}", f"{line.drawn:.1%}", f"{line.repeats:.2f}"
        rows.append((label(line.size), ratio(line.size), f"{line.pictures:,}", *shares))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows)
