"""Sets of pictures measured: a value for all of them and for each category, and scores of single ones.

n pictures  d features
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from .features import Features, batches
from .frechet import frechet_distance
from .ranks import mean_known
from .scorers import Scorer
from .sets import Wanted, groups, prompts_of
from .vendi import vendi_score

OVERALL = "all"
OnDone = Callable[[int], object]


@dataclass(frozen=True)
class Sets:
    """Pictures by their ids, those to compare them with, and what is known of either.

    Raises ValueError where a category has the name of all pictures.
    """

    pictures: Mapping[str, Path]
    against: Mapping[str, Path] = field(default_factory=dict)
    wanted: Mapping[str, Wanted] = field(default_factory=dict)

    def __post_init__(self):
        if same := [name for name, entry in self.wanted.items() if entry.category == OVERALL]:
            raise ValueError(
                f"a category must not be called {OVERALL!r}, as the row of all pictures is, and that of "
                f"{same[0]} is; rename it in the file of prompts"
            )

    @property
    def parts(self) -> dict[str, list[str]]:
        """The ids of all pictures, and of each category that has some."""
        return {OVERALL: list(self.pictures), **groups(self.pictures, self.wanted)}

    @property
    def others(self) -> dict[str, list[str]]:
        """The same of those to compare with."""
        return {OVERALL: list(self.against), **groups(self.against, self.wanted)}


@dataclass(frozen=True)
class Found:
    """Values of a metric for all pictures and each category, and the scores of single ones."""

    values: Mapping[str, float]
    scores: Mapping[str, float] = field(default_factory=dict)


@torch.inference_mode()
def scores(scorer: Scorer, sets: Sets, *, prompted: bool, batch: int, device: str, on_done: OnDone) -> Found:
    """Returns the score of every picture and their means; raises ValueError where a prompt is missing."""
    ids = list(sets.pictures)
    prompts = prompts_of(ids, sets.wanted) if prompted else [""] * len(ids)
    found: dict[str, float] = {}
    for places, images in batches(list(sets.pictures.values()), batch):
        values = scorer.score(images.to(device), [prompts[i] for i in places])
        found.update({ids[i]: float(x) for i, x in zip(places, values, strict=True)})
        on_done(len(places))
    means = {part: mean_known([found[name] for name in members]) for part, members in sets.parts.items()}
    return Found(means, {name: found[name] for name in ids})


def variety(features: Features, sets: Sets, *, batch: int, on_done: OnDone) -> Found:
    """Returns the Vendi scores of cosines."""
    rows = _rows(features, sets.pictures, batch, on_done)
    return Found({part: vendi_score(_cosines(rows(members))) for part, members in sets.parts.items()})


def distances(features: Features, sets: Sets, *, batch: int, on_done: OnDone) -> Found:
    """Returns the Fréchet distances, where there are two pictures on both sides."""
    own = _rows(features, sets.pictures, batch, on_done)
    other = _rows(features, sets.against, batch, on_done)
    pairs = {part: (members, sets.others.get(part, ())) for part, members in sets.parts.items()}
    return Found(
        {
            part: frechet_distance(own(members), other(others))
            for part, (members, others) in pairs.items()
            if min(len(members), len(others)) >= 2
        }
    )


def _rows(
    features: Features, pictures: Mapping[str, Path], batch: int, on_done: OnDone
) -> Callable[[Sequence[str]], Tensor]:
    """A function from ids to their features (n, d)."""
    places = {name: i for i, name in enumerate(pictures)}
    found = features.of(list(pictures.values()), batch=batch, on_done=on_done)
    return lambda ids: found[[places[name] for name in ids]]


def _cosines(rows: Tensor) -> Tensor:
    rows = torch.nn.functional.normalize(rows.double(), dim=-1)
    return rows @ rows.T
