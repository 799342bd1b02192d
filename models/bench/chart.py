"""The speeds of a report as a picture: a bar for each contestant, ours in colour, the others in grey.

The upper panel has one text at a time; the lower one several at once, with a line where the fastest other
program is. Lengths in this file are inches.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .contestants import LLAMA_CPP, PRESAMPLE, TRANSFORMERS
from .table import place, title

INK, FAINT, GRID = "#20242c", "#767d8a", "#e8eaee"
PEERS = {TRANSFORMERS: "#c3c8d1", LLAMA_CPP: "#98a0ae"}
OURS = {"float32": "#a9c6f2", "bfloat16": "#6b9ae6", "float16": "#6b9ae6", "int8": "#2f62c9"}
SHORT = {TRANSFORMERS: "transformers", LLAMA_CPP: "llama.cpp Q8_0"}

WIDTH, MARGIN, LEFT, COLUMN = 8.6, 0.22, 2.3, 1.05
ROW, BAR = 0.29, 0.72  # the bar is a share of its row
HEAD, FOOT, PANEL = 0.72, 0.32, 0.72  # above the panels, below them, and beside the rows of one


@dataclass(frozen=True)
class Panel:
    """Rows that share a scale; `mark` is a row of another panel to compare with."""

    heading: str
    rows: Sequence[Mapping]
    mark: Mapping | None = None

    @property
    def height(self) -> float:
        return len(self.rows) * ROW + PANEL


def require() -> None:
    """Raises ImportError when matplotlib, which draws, is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(f"a chart needs matplotlib ({error}); install it, or leave --chart out") from error


def draw(report: Mapping, path: Path) -> None:
    """Writes the chart to `path`, in the format its ending names.

    Raises ImportError when matplotlib is not installed, ValueError when there is nothing to draw.
    """
    require()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = _panels(report["results"])
    if not panels:
        raise ValueError("a chart needs at least one result, but nothing could be measured")
    height = HEAD + FOOT + sum(panel.height for panel in panels)
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    engines = list(report["baselines"])
    across = WIDTH - LEFT - MARGIN - COLUMN * len(engines)
    top = height - HEAD
    for panel in panels:
        rows = len(panel.rows) * ROW
        low = top - 0.34 - rows
        axes = figure.add_axes((LEFT / WIDTH, low / height, across / WIDTH, rows / height))
        _draw_bars(axes, panel)
        _write_ratios(axes, panel, engines, across)
        top -= panel.height
    _write_around(figure, report)
    figure.savefig(path, dpi=160)


def _panels(results: Sequence[Mapping]) -> list[Panel]:
    single = [row for row in results if row["batch"] == 1]
    several = [row for row in results if row["batch"] > 1]
    peers = [row for row in single if row["engine"] != PRESAMPLE]
    best = max(peers, key=lambda row: row["tokens_per_second"], default=None)
    found = [Panel("One text at a time", single), Panel("Several texts at once", several, best)]
    return [panel for panel in found if panel.rows]


def _draw_bars(axes, panel: Panel) -> None:
    speeds = [row["tokens_per_second"] for row in panel.rows]
    places = range(len(speeds))
    axes.barh(places, speeds, height=BAR, color=[_colour(row) for row in panel.rows], zorder=2)
    axes.set_ylim(len(speeds) - 0.5, -0.5)
    axes.set_xlim(0, max(speeds) * 1.14)
    axes.set_yticks(list(places), [row["name"] for row in panel.rows], fontsize=9, color=INK)
    heading = axes.set_title(panel.heading, loc="left", fontsize=10, fontweight="bold", color=INK, pad=7)
    axes.tick_params(length=0)
    axes.tick_params(axis="x", labelsize=7.5, labelcolor=FAINT, pad=2)
    axes.grid(axis="x", color=GRID, linewidth=0.8, zorder=0)
    axes.spines[:].set_visible(False)
    for at, row in zip(places, panel.rows, strict=True):
        weight = "bold" if row["engine"] == PRESAMPLE else "normal"
        speed = row["tokens_per_second"]
        look = {"fontsize": 9, "fontweight": weight, "color": INK, "va": "center", "zorder": 4}
        axes.annotate(_number(speed), (speed, at), xytext=(5, -0.5), textcoords="offset points", **look)
    if panel.mark:
        _draw_mark(axes, panel.mark, heading)


def _draw_mark(axes, mark: Mapping, heading) -> None:
    """Draws a line at the speed of `mark` and says behind the heading what it is."""
    axes.axvline(mark["tokens_per_second"], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=3)
    text = f"dashed: {mark['name']}, one text"
    look = {"textcoords": "offset points", "fontsize": 7.5, "color": FAINT, "va": "bottom"}
    axes.annotate(text, (1, 0), xycoords=heading, xytext=(8, 0), **look)


def _write_ratios(axes, panel: Panel, engines: Sequence[str], across: float) -> None:
    """Writes how many times as fast each row is, in a column for each baseline right of the bars."""
    for column, engine in enumerate(engines):
        x = 1 + (column + 0.96) * COLUMN / across
        look = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
        axes.text(x, -0.5 - 0.62, f"× {SHORT[engine]}", fontsize=7.5, color=FAINT, **look)
        for at, row in enumerate(panel.rows):
            ratio = row["ratios"][engine]["median"]
            ours = row["engine"] == PRESAMPLE
            weight, colour = ("bold", INK) if ours else ("normal", FAINT)
            axes.text(x, at, f"{ratio:.1f}", fontsize=9, fontweight=weight, color=colour, **look)


def _colour(row: Mapping) -> str:
    return PEERS.get(row["engine"]) or OURS.get(row["precision"], OURS["int8"])


def _number(speed: float) -> str:
    return f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"


def _write_around(figure, report: Mapping) -> None:
    height = figure.get_figheight()

    def write(from_top: float, text: str, **look) -> None:
        figure.text(MARGIN / WIDTH, 1 - from_top / height, text, va="top", **look)

    write(0.16, "Tokens a second, more is better", fontsize=13, fontweight="bold", color=INK)
    write(0.44, title(report), fontsize=8, color=FAINT)
    words = textwrap.wrap(place(report), 125)
    write(height - 0.08 - 0.15 * len(words), "\n".join(words), fontsize=8, color=FAINT)
