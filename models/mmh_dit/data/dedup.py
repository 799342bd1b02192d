"""Iterative DBSCAN: of pictures that are nearly the same, one stays.

Convention: `similarity` is the least cosine of two near duplicates, so DBSCAN's radius, a cosine *distance*,
is 1 - similarity: 0.1 for the published 0.9. A radius of 0.9 would merge whatever has a cosine of 0.1 and
more.
Source: spec 2.9, the report on oboro; clusters are scikit-learn's `DBSCAN(metric="cosine", min_samples=2)`.

n items  e width of an embedding
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...options import option

MapSubsets = Callable[[Tensor, Iterable[Tensor], float], Iterator[Tensor]]
"""(embeddings (n, e), subsets as rows of them, similarity) -> labels of each subset, -1 for noise."""

BLOCK = 1 << 16  # rows that are turned to float32 at once


@dataclass(frozen=True)
class DedupOptions:
    """How near duplicates are found."""

    similarity: float = option(
        0.9, "Least cosine of two pictures that count as the same.", low=0.0, high=0.9999
    )
    subset: int = option(10_000, "Most pictures that are clustered together.", low=2, high=10**7, step=1)
    partition: str = option(
        "nearby",
        "How more than that are divided: nearby keeps like ones together, random is as published.",
        choices=("nearby", "random"),
    )
    rounds: int = option(20, "Most rounds.", low=1, high=1000, step=1)
    stop: float = option(0.001, "A round that removes a smaller share is the last.", low=0.0, high=1.0)
    seed: int = option(0, "Decides how pictures are divided and which of a cluster stays.", low=0, high=2**31)


@dataclass(frozen=True)
class Round:
    """What one round did: how many there were, in how many subsets, and how many it removed."""

    before: int
    subsets: int
    removed: int


@dataclass(frozen=True)
class Deduplicated:
    """`stands_for` (n,) names for each item the one that is kept in its place: itself where it is kept."""

    stands_for: Tensor
    rounds: tuple[Round, ...]

    @property
    def keep(self) -> Tensor:
        """Whether each item is kept (n,), bool."""
        return self.stands_for == torch.arange(len(self.stands_for))


def clusters(embeddings: Tensor, similarity: float) -> Tensor:
    """Returns DBSCAN's labels (n,) of embeddings (n, e): a cluster's number, or -1 where nothing is near."""
    from sklearn.cluster import DBSCAN

    found = DBSCAN(eps=1 - similarity, metric="cosine", min_samples=2).fit_predict(embeddings.float().numpy())
    return torch.from_numpy(found).long()


def each_here(embeddings: Tensor, subsets: Iterable[Tensor], similarity: float) -> Iterator[Tensor]:
    """Yields the labels of each subset, given as rows of `embeddings`."""
    for rows in subsets:
        yield clusters(embeddings[rows], similarity)


def deduplicate(
    embeddings: Tensor,
    options: DedupOptions | None = None,
    *,
    each: MapSubsets = each_here,
    begun: Deduplicated | None = None,
    on_round: Callable[[Deduplicated], None] | None = None,
) -> Deduplicated:
    """Returns which of the pictures with these embeddings (n, e) stay, and in whose place.

    Every round divides what is left anew, keeps one member of each cluster at random and all that is alone.
    `each` clusters the subsets, here or elsewhere; the result does not depend on it. What `on_round` was
    given goes on as `begun`, with the same result.
    """
    options = options or DedupOptions()
    stands_for = torch.arange(len(embeddings)) if begun is None else begun.stands_for.clone()
    rounds = [] if begun is None else list(begun.rounds)
    bar = _bar(options.rounds, len(rounds))
    while len(rounds) < options.rounds and not _converged(rounds, options):
        left = (stands_for == torch.arange(len(embeddings))).nonzero().flatten()
        generator = _generator(options.seed, len(rounds))
        subsets = divide(embeddings, left, options, generator=generator)
        for rows, labels in zip(subsets, each(embeddings, subsets, options.similarity), strict=True):
            stands_for[rows] = _chosen(rows, labels, generator)
        removed = int((stands_for[left] != left).sum())
        rounds.append(Round(len(left), len(subsets), removed))
        if on_round is not None:
            on_round(Deduplicated(stands_for.clone(), tuple(rounds)))
        bar.set_postfix(left=len(left) - removed, refresh=False)
        bar.update()
    bar.close()
    return Deduplicated(_followed(stands_for), tuple(rounds))


def _converged(rounds: Sequence[Round], options: DedupOptions) -> bool:
    """Whether the last round removed next to nothing, or clustered all there was at once."""
    if not rounds:
        return False
    return rounds[-1].subsets <= 1 or rounds[-1].removed <= options.stop * rounds[-1].before


def met(rounds: Sequence[Round]) -> float:
    """Returns the chance that two pictures were in one subset at least once, if rounds divide at random."""
    return 1 - math.prod(1 - 1 / one.subsets for one in rounds)


def _bar(total: int, done: int):
    from tqdm import tqdm

    return tqdm(total=total, initial=done, desc="deduplicating", unit="round")


def _generator(seed: int, number: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)


def _chosen(rows: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Returns for every row the one that is kept in its place, drawn within its cluster."""
    chosen = rows.clone()
    order = torch.randperm(len(rows), generator=generator)
    clustered = order[labels[order] >= 0]
    if len(clustered):
        own = labels[clustered]
        first = torch.full((int(own.max()) + 1,), len(clustered))
        first.scatter_reduce_(0, own, torch.arange(len(clustered)), "amin")
        chosen[clustered] = rows[clustered[first[own]]]
    return chosen


def _followed(stands_for: Tensor) -> Tensor:
    """Who stands for an item may have been removed later: follows to the one that is kept."""
    while not torch.equal(stands_for[stands_for], stands_for):
        stands_for = stands_for[stands_for]
    return stands_for


def divide(
    embeddings: Tensor, rows: Tensor, options: DedupOptions, *, generator: torch.Generator
) -> list[Tensor]:
    """Returns `rows` in subsets of at most `options.subset`, drawn anew from the generator.

    `random` shuffles and cuts: a pair meets in one of S subsets with a chance of 1/S only. `nearby` halves
    the rows again and again at the median along the line between two of them drawn at random, so that pairs
    with a high cosine mostly stay together, and those that were parted meet in another round.
    """
    if len(rows) <= options.subset:
        return [rows]
    if options.partition == "random":
        shuffled = rows[torch.randperm(len(rows), generator=generator)]
        return list(shuffled.tensor_split(-(-len(rows) // options.subset)))
    first, second = rows[torch.randint(len(rows), (2,), generator=generator)]
    line = embeddings[first].float() - embeddings[second].float()
    along = torch.cat([embeddings[some].float() @ line for some in rows.split(BLOCK)])
    order = rows[along.argsort(stable=True)]
    return [
        subset
        for half in order.tensor_split(2)
        for subset in divide(embeddings, half, options, generator=generator)
    ]
