"""Lines of plots, of what was measured at several seeds: means with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from .experiment import Results
from .judgement import Line, Panel
from .statistics import Interval, interval


def curve(name: str, x: Sequence[float], rows: Iterable[Sequence[float]]) -> Line:
    """Returns the means over the seeds of rows, each a seed's numbers at every x."""
    found = [interval(column) for column in zip(*rows, strict=True)]
    y, low, high = (tuple(getattr(each, part) for each in found) for part in ("mean", "low", "high"))
    return Line(name, tuple(x), y, low, high)


def panels(
    found: Results, titles: Mapping[str, str], x: Sequence[float], axis: str, name: Callable[[str], str]
) -> tuple[Panel, ...]:
    """Returns a panel of each key of `titles`, with a line for each arm, which `name` names."""
    return tuple(
        Panel(title, axis, "", tuple(curve(name(arm), x, found.raw(arm, key)) for arm in found.arms))
        for key, title in titles.items()
    )


def bars(title: str, y: str, found: Mapping[str, Interval]) -> Panel:
    """Returns a bar for each name, as high as its mean."""
    lines = (Line(name, (0.0,), (each.mean,), (each.low,), (each.high,)) for name, each in found.items())
    return Panel(title, "", y, tuple(lines), kind="bars")
