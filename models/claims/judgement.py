"""What an experiment comes to: checks against thresholds that were fixed before, tables, and plots as data.

Convention: everything is plain values, so that a page is made of a record years later without running again.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_SEEDS = 5
HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"
KINDS = ("lines", "bars", "points")


@dataclass(frozen=True)
class Check:
    """One criterion: what is compared, what was wanted before the run, what was found.

    A `control` tells whether the experiment could see anything at all.
    """

    what: str
    wanted: str
    found: str
    met: bool
    control: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text under a header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Line:
    """Something that is drawn: points (x, y), with bounds where `low` and `high` have them. A `formula` says
    what should come out, and is drawn dashed over what did."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    formula: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines with common axes. In `bars` each is a bar of height y[0], with bounds low[0] and high[0]."""

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    kind: str = "lines"
    log_x: bool = False
    log_y: bool = False

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}")


@dataclass(frozen=True)
class Judgement:
    """What is said of an experiment's numbers."""

    checks: tuple[Check, ...]
    tables: tuple[Table, ...] = ()
    panels: tuple[Panel, ...] = ()
    notes: tuple[str, ...] = ()


def verdict(checks: tuple[Check, ...], seeds: int) -> str:
    """Returns whether the claim holds at toy size: every criterion is met, at enough seeds."""
    if seeds < LEAST_SEEDS or not checks or any(check.control and not check.met for check in checks):
        return OPEN
    return HOLDS if all(check.met for check in checks) else FAILS
