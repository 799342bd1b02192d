"""Draws the panels of a record beside each other, on a light ground.

Lengths in this file are inches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .judgement import Line, Panel

INK, FAINT, GRID = "#20242c", "#767d8a", "#e8eaee"
COLOURS = ("#2f62c9", "#e07b39", "#3a9d6e", "#b04a8b", "#8a6d3b", "#6c7686", "#c94f4f", "#2aa7b8", "#7a5cc7")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
WHOLE = 12  # most whole numbers on an axis that are all marked
WIDTH, HEIGHT, ACROSS = 4.2, 3.2, 3  # of a panel; and how many stand beside each other


def require() -> None:
    """Raises ImportError when matplotlib, which draws, is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(f"plots need matplotlib ({error}): pip install -e '.[bench]'") from error


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Writes the panels to `path` as PNG; raises ImportError when matplotlib is not installed."""
    require()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(WIDTH * across, HEIGHT * down), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, across, squeeze=False).flatten()
    colours = _colours(panels)
    for axes, panel in zip(grid, panels, strict=False):
        _dress(axes, panel)
        (_bars if panel.kind == "bars" else _lines)(axes, panel, colours)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _colours(panels: Sequence[Panel]) -> dict[str, int]:
    """A number for each name, the same in every panel."""
    names = dict.fromkeys(line.name for panel in panels for line in panel.lines)
    return {name: i for i, name in enumerate(names)}


def _dress(axes, panel: Panel) -> None:
    axes.set_title(panel.title, loc="left", fontsize=9.5, fontweight="bold", color=INK)
    axes.set_xlabel(panel.x, fontsize=8.5, color=FAINT)
    axes.set_ylabel(panel.y, fontsize=8.5, color=FAINT)
    axes.tick_params(labelsize=8, labelcolor=FAINT, color=GRID, length=3)
    axes.grid(axis="y", color=GRID, linewidth=0.8, zorder=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GRID)
    if panel.log_x:
        axes.set_xscale("log")
    if panel.log_y:
        axes.set_yscale("log")


def _lines(axes, panel: Panel, colours: dict[str, int]) -> None:
    places = sorted({x for line in panel.lines for x in line.x})
    if len(places) <= WHOLE and all(x == int(x) for x in places) and not panel.log_x:
        axes.set_xticks(places)
    said: set[str] = set()  # a name stands once in the legend
    for line in panel.lines:
        number = colours[line.name]
        look = {
            "color": COLOURS[number % len(COLOURS)],
            "label": None if line.name in said else line.name,
            "zorder": 3,
        }
        said.add(line.name)
        mark = {"marker": MARKS[number % len(MARKS)], "markersize": 3.5}
        if line.formula:
            axes.plot(line.x, line.y, linestyle="--", **look | {"color": INK, "linewidth": 1, "zorder": 4})
        elif panel.kind == "points":
            axes.plot(line.x, line.y, linestyle="none", **mark, **look)
        else:
            axes.plot(line.x, line.y, linewidth=1.5, **mark, **look)
        if line.low:
            axes.fill_between(line.x, line.low, line.high, color=look["color"], alpha=0.13, linewidth=0)
    if len(panel.lines) > 1:
        axes.legend(fontsize=7.5, frameon=False, labelcolor=INK)


def _bars(axes, panel: Panel, colours: dict[str, int]) -> None:
    for place, line in enumerate(panel.lines):
        axes.bar(place, line.y[0], width=0.66, color=COLOURS[colours[line.name] % len(COLOURS)], zorder=2)
        if line.low:
            axes.errorbar(place, line.y[0], yerr=_reach(line), color=INK, linewidth=1.2, capsize=3, zorder=3)
    axes.set_xticks(range(len(panel.lines)), [line.name for line in panel.lines], fontsize=8, color=INK)
    if max(len(line.name) for line in panel.lines) * len(panel.lines) > 40:
        axes.tick_params(axis="x", rotation=30)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")


def _reach(line: Line) -> list[list[float]]:
    return [[line.y[0] - line.low[0]], [line.high[0] - line.y[0]]]
