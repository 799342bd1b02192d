"""Records: what an experiment was, what it found, with which command, when and on what machine, as JSON.

Convention: one file `<name>.json`; numbers are kept to six digits.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..files import fingerprint, write_text
from .experiment import Experiment, Results
from .judgement import OPEN, Check, Judgement, Line, Panel, Table, verdict


@dataclass(frozen=True)
class Cell:
    """The numbers of one arm at one seed, the seconds of processor time (or of a GPU) they took, and on what
    machine."""

    arm: str
    seed: int
    seconds: float
    values: dict[str, Any]
    machine: str = ""


@dataclass(frozen=True)
class Record:
    """An experiment that was run, or the reason in `skipped` why it was not."""

    name: str
    group: str
    title: str
    claim: str
    how: str
    settings: dict[str, Any]
    command: str
    date: str
    machine: str
    verdict: str
    judgement: Judgement
    cells: tuple[Cell, ...] = ()
    skipped: str = ""

    @property
    def seconds(self) -> float:
        """What all cells took together, of processor time."""
        return sum(cell.seconds for cell in self.cells)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that were run."""
        return tuple(sorted({cell.seed for cell in self.cells}))


def command(experiment: Experiment) -> str:
    """Returns what makes an experiment's record."""
    return f"presample eval claims {experiment.name}"


def judged(experiment: Experiment, cells: Sequence[Cell], *, date: str) -> Record:
    """Returns the record of measured cells, with the machines they come from.

    Seeds that lack an arm are left out. Raises ValueError where no seed has all arms.
    """
    results = Results({(cell.arm, cell.seed): cell.values for cell in cells}, experiment.arms)
    if not results.seeds:
        raise ValueError(f"{experiment.name} needs all of its arms at one seed at least; run it further")
    found = experiment.judge(experiment.settings, results)
    whole = tuple(cell for cell in cells if cell.seed in results.seeds)
    ruling = verdict(found.checks, len(results.seeds))
    machines = dict.fromkeys(cell.machine or "a machine that was not noted" for cell in whole)
    facts = {"verdict": ruling, "judgement": found, "cells": whole}
    return _record(experiment, date, machine="; ".join(machines), **facts)


def skipped(experiment: Experiment, reason: str, *, date: str) -> Record:
    """Returns the record of an experiment that cannot run here."""
    return _record(experiment, date, machine="", verdict=OPEN, judgement=Judgement(()), skipped=reason)


def _record(experiment: Experiment, date: str, **facts: Any) -> Record:
    return Record(
        name=experiment.name,
        group=experiment.group,
        title=experiment.title,
        claim=experiment.claim,
        how=experiment.how,
        settings=asdict(experiment.settings),
        command=command(experiment),
        date=date,
        **facts,
    )


def digest(experiment: Experiment) -> str:
    """Returns eight letters that change with the settings and the files that are read."""
    facts = [experiment.name, asdict(experiment.settings), *map(fingerprint, experiment.files())]
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def machine_class(device: torch.device) -> str:
    """Returns what kind of machine this is, without telling which."""
    if device.type == "cuda":
        return f"one {torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    kind = torch.backends.cpu.get_cpu_capability()
    return (
        f"{os.cpu_count()} {platform.machine()} cores ({kind}), one thread a cell, torch {torch.__version__}"
    )


def write(record: Record, folder: Path) -> Path:
    """Writes a record to its file in the folder and returns the path."""
    path = folder / f"{record.name}.json"
    write_json(path, asdict(record))
    return path


def write_json(path: Path, value: Any) -> None:
    """Writes JSON in one move, its numbers rounded to six digits."""
    write_text(path, _lines(rounded(value)) + "\n")


def rounded(value: Any) -> Any:
    """Returns a value of JSON with every number to six digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return value


def _lines(value: Any, indent: str = "") -> str:
    """JSON with a line for whatever fits on one."""
    short = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(short) <= 110 or not isinstance(value, dict | list):
        return short
    deeper = indent + " "
    if isinstance(value, list):
        parts, ends = [_lines(each, deeper) for each in value], "[]"
    else:
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}: {_lines(each, deeper)}" for key, each in value.items()
        ]
        ends = "{}"
    inside = ",\n".join(deeper + part for part in parts)
    return f"{ends[0]}\n{inside}\n{indent}{ends[1]}"


def read(path: Path) -> Record:
    """Returns the record that `write` wrote.

    Raises ValueError, naming the file, for one that holds something else.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        cells = tuple(Cell(**cell) for cell in facts.pop("cells"))
        return Record(**facts | {"cells": cells, "judgement": _judgement(facts["judgement"])})
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} must be a record of this version ({error}); run its experiment again"
        ) from error


def _judgement(facts: Mapping[str, Any]) -> Judgement:
    panels = [Panel(**panel | {"lines": tuple(map(_line, panel["lines"]))}) for panel in facts["panels"]]
    tables = [
        Table(table["title"], tuple(table["header"]), tuple(map(tuple, table["rows"])))
        for table in facts["tables"]
    ]
    checks = [Check(**check) for check in facts["checks"]]
    return Judgement(tuple(checks), tuple(tables), tuple(panels), tuple(facts["notes"]))


def _line(facts: Mapping[str, Any]) -> Line:
    return Line(**{key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()})
