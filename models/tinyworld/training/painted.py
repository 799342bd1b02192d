"""What trainers share that learn from painted pictures: their options, the pictures, and the order of these.

n pictures of one size  h w image
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ...options import option
from ...trainer.fit import Place
from ...trainer.options import FitOptions
from ..pictures import Shard, cached


@dataclass(frozen=True)
class PaintedOptions(FitOptions):
    """How a model is trained that learns from painted pictures."""

    pictures: int = option(24576, "Pictures painted, in steps of 1024.", low=1024, high=10**6, step=1024)
    cache: str = option("out/tiny-pictures", "Folder where painted pictures are kept.", beside=True)
    workers: int = option(
        0, "Processes that paint; they change nothing but the speed.", low=0, high=256, beside=True
    )


def shards(options: PaintedOptions) -> list[Shard]:
    """Returns the pictures that the options ask for; paints what is missing."""
    return cached(Path(options.cache), options.seed, options.pictures, workers=options.workers)


def by_size(shards: Iterable[Shard], told: Callable[[Shard], Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Returns the pictures (n, 3, h, w) of each size, uint8, and what is told of them (n, ...)."""
    found: dict[tuple[int, int], list] = {}
    for shard in shards:
        found.setdefault(tuple(shard.pixels.shape[-2:]), []).append((shard.pixels, told(shard)))
    return [tuple(map(torch.cat, zip(*parts, strict=True))) for _, parts in sorted(found.items())]


class Turn(NamedTuple):
    """Batch `number`: which of the sizes, which of its pictures, and whether they are mirrored."""

    number: int
    size: int
    rows: Tensor
    mirrored: bool


# The pictures of each batch, of as many as there are of a size.
Cut = Callable[[int, torch.Generator], Sequence[Tensor]]


def turns(
    counts: Sequence[int], cut: Cut, generator: Callable[[int], torch.Generator], *, place: Place, skip: int
) -> Iterator[Turn]:
    """Yields this process's turns from number `skip` on, for ever.

    `counts` says how many pictures there are of each size; `generator` gives that of an epoch.

    Raises:
        ValueError: there are too few pictures for one batch.
    """
    per_epoch = enough(len(_epoch(counts, cut, generator(0))))
    number = skip * place.count + place.rank
    while True:
        epoch, first = divmod(number, per_epoch)
        for size, rows, mirrored in _epoch(counts, cut, generator(epoch))[first :: place.count]:
            yield Turn(number, size, rows, mirrored)
            number += place.count


def enough(batches: int) -> int:
    """Returns how many batches an epoch has; raises ValueError where it has none."""
    if not batches:
        raise ValueError("a batch must find as many pictures of one size; paint more, or lower the batch")
    return batches


def _epoch(counts: Sequence[int], cut: Cut, generator: torch.Generator) -> list[tuple[int, Tensor, bool]]:
    found = [(size, rows) for size, count in enumerate(counts) for rows in cut(count, generator)]
    mirrored = torch.rand(len(found), generator=generator) < 0.5
    return [(*found[i], bool(mirrored[i])) for i in torch.randperm(len(found), generator=generator).tolist()]
