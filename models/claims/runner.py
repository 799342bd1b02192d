"""Runs the cells of an experiment, each kept in a file as soon as it is measured, so that a run can go on.

Convention: `<work>/<name>-<digest>/<arm>-<seed>.json`; other settings have another digest, and so have other
bundled models where one is read, so nothing is mixed up. Arms that share something keep it in `seed-<seed>/`
beside them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .experiment import Experiment, Job
from .record import Cell, digest, machine_class, write_json


def place(experiment: Experiment, work: Path) -> Path:
    """Returns the folder of an experiment's cells."""
    return work / f"{experiment.name}-{digest(experiment)}"


def measure(
    experiment: Experiment,
    arm: str,
    seed: int,
    *,
    work: Path,
    device: torch.device,
    on_step: Callable[[], Any] = lambda: None,
) -> Cell:
    """Returns a cell, measured now unless its file is there."""
    folder = place(experiment, work)
    path = folder / f"{arm}-{seed}.json"
    if not path.exists():
        job = Job(experiment.settings, arm, seed, device, folder / f"seed-{seed}", on_step)
        clock = (
            time.perf_counter if device.type == "cuda" else time.process_time
        )  # others may want the processor
        begin = clock()
        values = dict(experiment.measure(job))
        cell = Cell(arm, seed, clock() - begin, values, machine_class(device))
        write_json(path, asdict(cell))
    return _read(path)


def missing(experiment: Experiment, seeds: Sequence[int], work: Path) -> list[tuple[str, int]]:
    """Returns the cells that are still to be measured."""
    folder = place(experiment, work)
    return [
        (arm, seed) for arm, seed in experiment.cells(seeds) if not (folder / f"{arm}-{seed}.json").exists()
    ]


def kept(experiment: Experiment, work: Path) -> list[Cell]:
    """Returns all cells that were measured, in the order of seeds and arms."""
    folder = place(experiment, work)
    return list(_found(experiment, folder))


def _found(experiment: Experiment, folder: Path) -> Iterator[Cell]:
    cells = [_read(path) for path in folder.glob("*.json")]
    order = {arm: i for i, arm in enumerate(experiment.arms)}
    yield from sorted((c for c in cells if c.arm in order), key=lambda c: (c.seed, order[c.arm]))


def batches(experiment: Experiment, todo: Sequence[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    """Returns the cells in lists that one process runs in a row: one each, or a seed's where arms share."""
    if not experiment.together:
        return [[cell] for cell in todo]
    seeds = dict.fromkeys(seed for _, seed in todo)
    return [[cell for cell in todo if cell[1] == seed] for seed in seeds]


def _read(path: Path) -> Cell:
    return Cell(**json.loads(path.read_text(encoding="utf-8")))
