"""All experiments, by name and by group."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from .experiment import Experiment

MODULES = (
    "presampling",
    "presampling_trained",
    "variety",
    "icfm_closed",
    "icfm_ring",
    "icfm_pictures",
    "mmh",
    "textcraftor",
    "solid",
    "shift",
    "buckets",
    "dedup",
    "score_tags",
)
ALL = "all"


def experiments() -> tuple[Experiment, ...]:
    """Returns every experiment in the order of the page; each module ends in its own."""
    found = [importlib.import_module(f".{module}", __package__).EXPERIMENTS for module in MODULES]
    return tuple(experiment for part in found for experiment in part)


def named(names: Sequence[str]) -> list[Experiment]:
    """Returns the experiments with these names or groups, or `all`, each once, in the order of the page.

    Raises ValueError for a name that is neither.
    """
    every = experiments()
    known = {ALL, *(e.name for e in every), *(e.group for e in every)}
    unknown = sorted(set(names) - known)
    if unknown:
        raise ValueError(
            f"no experiment is called {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )
    return [e for e in every if {ALL, e.name, e.group} & set(names)]
