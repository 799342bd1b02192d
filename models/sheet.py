"""A contact sheet: rows of pictures with a title each, and what is said of every picture below it.

Convention: pictures are tensors (3, H, W) in 0..1, sizes in pixels. Text is drawn in a font that has its
letters and cut where it does not fit: a prompt may be long, and may come from anyone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from .fonts import lettered
from .lettering import shorten, wrap

MARGIN, GAP = 24, 14
TEXT, TITLE = 13, 17  # size of letters
LINE = 18
LINES = 4  # of a caption, at most
LAYOUTS = ("side by side", "one above the other")  # of pairs
PAPER, INK, QUIET = "#fbfaf8", "#26231f", "#77716a"


@dataclass(frozen=True)
class Cell:
    """A picture (3, H, W) in 0..1, and a caption."""

    image: Tensor
    caption: str = ""


@dataclass(frozen=True)
class Row:
    """Pictures beside each other, and what they have in common."""

    title: str
    cells: Sequence[Cell]
    centered: bool = False


def before_after(
    before: Sequence[Cell], after: Sequence[Cell], *, titles: tuple[str, str], layout: str = LAYOUTS[0]
) -> list[Row]:
    """Returns the rows of a sheet of pairs; a single picture stands beside each of several.

    Raises:
        ValueError: they are not equally many, or the layout is none.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}; got {layout!r}")
    count = max(len(before), len(after))
    if not {len(before), len(after)} <= {1, count}:
        raise ValueError(f"as many pictures must be before as after, got {len(before)} and {len(after)}")
    if layout == LAYOUTS[1]:
        return [Row(title, cells) for title, cells in zip(titles, (before, after), strict=True)]
    pairs = zip(*((cells * count if len(cells) == 1 else cells) for cells in (before, after)), strict=True)
    return [Row("", [_told(cell, title) for cell, title in zip(pair, titles, strict=True)]) for pair in pairs]


def _told(cell: Cell, title: str) -> Cell:
    return Cell(cell.image, ": ".join(filter(None, (title, cell.caption))))


def draw_sheet(rows: Sequence[Row], *, scale: int = 1) -> Any:
    """Returns the sheet as a picture of Pillow; each picture is `scale` times as large on it.

    Raises:
        ValueError: there is no picture.
    """
    from PIL import Image, ImageDraw

    rows = [row for row in rows if row.cells]
    if not rows:
        raise ValueError("a contact sheet must have a picture, got none")
    width = max(_width(row, scale) for row in rows) + 2 * MARGIN
    heights = [_height(row, scale) for row in rows]
    sheet = Image.new("RGB", (width, sum(heights) + 2 * MARGIN - GAP), PAPER)
    pen, y = ImageDraw.Draw(sheet), MARGIN
    for row, height in zip(rows, heights, strict=True):
        _draw_row(sheet, pen, row, y, scale)
        y += height
    return sheet


def save_png(sheet: Any, path: Path, texts: Mapping[str, str]) -> None:
    """Writes a picture of Pillow with texts in it, as ComfyUI reads a `workflow` from a picture."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, pnginfo=info)


def to_pillow(image: Tensor, scale: int = 1) -> Any:
    """Returns a picture (3, H, W) in 0..1 as one of Pillow, `scale` times as large."""
    from PIL import Image

    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(pixels)
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.LANCZOS) if scale != 1 else picture


def _draw_row(sheet: Any, pen: Any, row: Row, y: int, scale: int) -> None:
    if row.title:
        most = (sheet.width - 2 * MARGIN) // (TITLE // 2)
        _write(pen, (MARGIN, y), shorten(row.title, max(8, most)), INK, TITLE)
        y += TITLE + GAP
    x = (sheet.width - _width(row, scale)) // 2 if row.centered else MARGIN
    tallest = max(_size(cell, scale)[1] for cell in row.cells)
    for cell in row.cells:
        width, height = _size(cell, scale)
        sheet.paste(to_pillow(cell.image, scale), (x, y + tallest - height))
        for line, text in enumerate(_lines(cell, scale)):
            _write(pen, (x, y + tallest + 6 + line * LINE), text, QUIET, TEXT)
        x += width + GAP


def _width(row: Row, scale: int) -> int:
    return sum(_size(cell, scale)[0] + GAP for cell in row.cells) - GAP


def _height(row: Row, scale: int) -> int:
    title = TITLE + GAP if row.title else 0
    lines = max(len(_lines(cell, scale)) for cell in row.cells)
    return title + max(_size(cell, scale)[1] for cell in row.cells) + 6 + lines * LINE + GAP


def _lines(cell: Cell, scale: int) -> list[str]:
    """The caption in the width of its picture."""
    if not cell.caption.strip():
        return []
    letters = max(8, int(_size(cell, scale)[0] / (TEXT * 0.54)))
    return wrap(" ".join(cell.caption.split()), letters, lines=LINES)


def _size(cell: Cell, scale: int) -> tuple[int, int]:
    height, width = cell.image.shape[-2:]
    return width * scale, height * scale


def _write(pen: Any, at: tuple[int, int], text: str, ink: str, size: int) -> None:
    font, drawn = lettered(text, size)
    pen.text(at, drawn, fill=ink, font=font)
