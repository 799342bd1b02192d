"""Chooses the pictures of a fine-tuning set: well scored, truly captioned, of all categories, and different.

Convention: bounds come first, then every category has its number, then of the best scored of a category those
are taken that differ most: farthest-point sampling on embeddings at unit length, by the cosine.
Source: spec 4.8, where Playground v2.5's authors give no numbers; Gonzalez 1985 (farthest points).

n items  e width of an embedding
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...files import alone, read_json, write_json
from ...options import option
from .selection import LOW, SCORES, SELECT, SELECT_FACTS, UNCHOSEN, UNFIT, WHY, Selection
from .sources import Item
from .steps import Candidate
from .work import Folder, NotReady, Work, save

TEXTS = 256  # captions at a time


@dataclass(frozen=True)
class SelectOptions:
    """Which pictures are chosen."""

    count: int = option(0, "How many pictures to keep; 0 keeps all within the bounds.", low=0, high=10**9)
    quotas: str = option(
        "even",
        "How they are shared among categories: alike as far as each goes, or as the data.",
        choices=("even", "data"),
    )
    pool: float = option(
        3.0,
        "Of how many times as many best scored ones the most different are kept; 1 keeps the best.",
        low=1,
        high=1e6,
    )
    least_score: float = option(-100.0, "Least score.", low=-100.0, high=100.0)
    least_fit: float = option(-1.0, "Least cosine of a picture and each of its captions.", low=-1, high=1)


@dataclass(frozen=True)
class Items:
    """What is known of items that are candidates, one row each; None where it is not known."""

    categories: Sequence[str]
    scores: Tensor | None = None  # (n,)
    fits: Tensor | None = None  # (n,)
    embeddings: Tensor | None = None  # (n, e)


def allotments(counts: Sequence[int], total: int, quotas: str = "even") -> list[int]:
    """Returns how many of `total` come from categories with so many items; all, where there are fewer.

    Even ones differ by at most one, but for categories that have no more; "data" keeps their proportions.
    """
    total, given = min(total, sum(counts)), [0] * len(counts)
    if quotas == "data":
        exact = [total * n / max(1, sum(counts)) for n in counts]
        given = [int(share) for share in exact]
        nearest = sorted(range(len(counts)), key=lambda i: given[i] - exact[i])
        for i in nearest[: total - sum(given)]:
            given[i] += 1
        return given
    for place, i in enumerate(sorted(range(len(counts)), key=lambda i: counts[i])):
        given[i] = min(counts[i], (total - sum(given)) // (len(counts) - place))
    return given


def farthest(embeddings: Tensor, count: int) -> list[int]:
    """Returns `count` rows of embeddings (n, e): the first, then always what is least like any before."""
    x = torch.nn.functional.normalize(embeddings.float(), dim=-1)
    chosen: list[int] = []
    nearest = torch.full((len(x),), -torch.inf)  # cosine to the nearest that is chosen
    while len(chosen) < min(count, len(x)):
        chosen.append(int(nearest.argmin()) if chosen else 0)
        nearest = torch.maximum(nearest, x @ x[chosen[-1]])
        nearest[chosen] = torch.inf
    return chosen


def choose(items: Items, options: SelectOptions) -> Tensor:
    """Returns for each item (n,) 0 where it is kept, or the place of the reason in WHY.

    Raises:
        ValueError: the options ask for scores or embeddings, and there are none.
    """
    why = torch.zeros(len(items.categories), dtype=torch.int8)
    if items.scores is not None:
        why[items.scores < options.least_score] = WHY.index(LOW)
    elif options.least_score > -100:
        raise NotReady("least_score needs scores: run `presample data score` first, or leave it out")
    if items.fits is not None:
        why[(why == 0) & (items.fits < options.least_fit)] = WHY.index(UNFIT)
    elif options.least_fit > -1:
        raise ValueError("least_fit needs a CLIP: name with --clip the one that dedup was given")
    if not options.count:
        return why
    rows: dict[str, list[int]] = {}
    for row in (why == 0).nonzero().flatten().tolist():
        rows.setdefault(items.categories[row], []).append(row)
    numbers = allotments([len(some) for some in rows.values()], options.count, options.quotas)
    kept = [
        row for some, n in zip(rows.values(), numbers, strict=True) for row in _best(items, some, n, options)
    ]
    inside = why == 0
    inside[kept] = False
    why[inside] = WHY.index(UNCHOSEN)
    return why


def _best(items: Items, rows: list[int], count: int, options: SelectOptions) -> list[int]:
    """The rows of a category that are kept."""
    if count == len(rows):
        return rows
    if items.scores is not None:
        rows = sorted(rows, key=lambda row: (-float(items.scores[row]), row))
        rows = rows[: max(count, round(options.pool * count))]
    elif options.pool == 1:
        raise NotReady("pool 1 keeps the best scored: run `presample data score` first, or raise pool")
    if count == len(rows):
        return rows
    if items.embeddings is None:
        raise NotReady(
            "different pictures are told apart by embeddings: run `presample data dedup` first, name"
            " --embeddings FILE, or keep the best scored with --pool 1"
        )
    return [rows[i] for i in farthest(items.embeddings[rows], count)]


# In a work folder


def select(
    work: Work,
    options: SelectOptions,
    *,
    categories: Path | None = None,
    embeddings: tuple[Tensor, Tensor] | None = None,
    fit: Callable[[Tensor, Sequence[Sequence[str]]], Tensor] | None = None,
    settings: Mapping[str, Any],
) -> None:
    """Chooses among what dedup and scores have left, and writes what became of every item.

    `embeddings` are numbers of items (m,) and their rows (m, e), `fit` gives the least cosine (n,) of rows
    (n, e) and the captions of each. A category is what the JSON file `categories` says of an item's key, or
    the first folder of the key.
    """
    base = Selection(work, final=False)
    base.check()
    with alone(work.folder):
        numbers, some, scores = _candidates(work, base)
        category = _categories([one.item for one in some], categories)
        rows = _rows_of(numbers, embeddings, work.count) if embeddings else None
        if fit and rows is None:
            raise NotReady(
                "a picture's fit is read off its embedding: run `presample data dedup --model` first"
            )
        fits = fit(rows, [one.item.captions for one in some]) if fit else None
        why = choose(Items(category, scores, fits, rows), options)
        every = torch.zeros(work.count, dtype=torch.int8)
        every[numbers] = why
        kept = Counter(name for name, reason in zip(category, why.tolist(), strict=True) if not reason)
        write_json(
            work.folder / SELECT_FACTS,
            {**settings, **asdict(options), "categories": dict(sorted(kept.items()))},
        )
        save(work.folder / SELECT, {"why": every}, {"base": json.dumps(base.settings, sort_keys=True)})


def _candidates(work: Work, base: Selection) -> tuple[Tensor, list[Candidate], Tensor | None]:
    """Numbers (n,), items and scores (n,) of what is left."""
    scored = (work.folder / SCORES).is_dir()
    numbers, some, scores = [], [], []
    for part in work.parts:
        here, _ = base.choose(part)
        some += here
        numbers += [part * work.part_length + one.place for one in here]
        if scored:
            tensors = Folder(work.folder / SCORES).read(part).tensors
            known = dict(zip(tensors["places"].tolist(), tensors["scores"].tolist(), strict=True))
            scores += [known[one.place] for one in here]
    return torch.tensor(numbers, dtype=torch.int64), some, torch.tensor(scores) if scored else None


def _categories(items: Sequence[Item], path: Path | None) -> list[str]:
    if path is None:
        return [item.key.rpartition("/")[0].partition("/")[0] for item in items]
    told = read_json(path)
    missing = [item.key for item in items if item.key not in told]
    if missing:
        raise ValueError(
            f"{path} must give a category to every item, and {len(missing)} have none, such as {missing[0]!r}"
        )
    return [str(told[item.key]) for item in items]


def _rows_of(numbers: Tensor, embeddings: tuple[Tensor, Tensor], count: int) -> Tensor:
    known, table = embeddings
    places = torch.full((count,), -1)
    places[known] = torch.arange(len(known))
    rows = places[numbers]
    if (rows < 0).any():
        raise NotReady(f"{int((rows < 0).sum())} items have no embedding; run `presample data dedup` again")
    return table[rows]


def caption_fit(folder: Path, *, device: str = "cpu") -> Callable[[Tensor, Sequence[Sequence[str]]], Tensor]:
    """Returns what gives the least cosine (n,) of embeddings (n, e) by a CLIP and the captions of each; a
    picture without a caption has 1."""
    from ...metrics.scorers import load_towers

    towers = load_towers(folder, device=device)

    def fit(embeddings: Tensor, captions: Sequence[Sequence[str]]) -> Tensor:
        found = torch.ones(len(captions))
        flat = [(row, text) for row, texts in enumerate(captions) for text in texts]
        for start in range(0, len(flat), TEXTS):
            rows, texts = zip(*flat[start : start + TEXTS], strict=True)
            index = torch.tensor(rows)
            said = towers.texts(texts).cpu()
            if said.shape[-1] != embeddings.shape[-1]:
                got = f"{said.shape[-1]} and {embeddings.shape[-1]}"
                raise ValueError(f"captions and pictures need embeddings of one width, got {got}")
            seen = torch.nn.functional.normalize(embeddings[index].float(), dim=-1)
            found.scatter_reduce_(0, index, (seen * said).sum(-1), "amin")
        return found

    return fit
