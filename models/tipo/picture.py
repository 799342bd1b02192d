"""An expansion as one SVG file: what the user wrote, the tags as chips by category, the prose, the prompt."""

import re
from collections.abc import Iterable, Iterator
from html import escape

from ..lettering import columns, shorten, wrap
from .expansion import Expansion

WIDTH, MARGIN, LINE = 860, 28, 30
LETTER = 7.0  # mean width of a letter of the 13 px font, in pixels
LONGEST = 100  # columns of a chip
CODE = "ui-monospace, Menlo, Consolas, monospace"
UNPRINTABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # not allowed in XML
OWN = ("#1f2937", "#ffffff", "#1f2937")  # fill, text, border of what the user wrote
COLOURS = {
    "special": ("#fde8ec", "#9f1239", "#fda4af"),
    "characters": ("#fef3c7", "#92400e", "#fcd34d"),
    "copyrights": ("#ede9fe", "#5b21b6", "#c4b5fd"),
    "artist": ("#ffedd5", "#9a3412", "#fdba74"),
    "meta": ("#e5e7eb", "#374151", "#9ca3af"),
    "quality": ("#e5e7eb", "#374151", "#9ca3af"),
    "rating": ("#e5e7eb", "#374151", "#9ca3af"),
    "general": ("#e0f2fe", "#075985", "#7dd3fc"),
}


def draw(expansion: Expansion) -> str:
    """Returns the text of an SVG file, WIDTH pixels wide."""
    body: list[str] = []
    y = MARGIN + 16.0
    y = _heading(body, y, "you wrote")
    y = _code(body, y, "\n".join(filter(str.strip, (expansion.original, expansion.request.prose))))
    y = _heading(body, y + 20, "tags: your own are dark")
    y = _chips(body, y, _tags(expansion))
    y = _heading(body, y + 26, "prose")
    for region in expansion.regions:
        y = _paragraph(body, y, region.user_prose, fill=OWN[0], weight="600")
        y = _paragraph(body, y, " ".join(region.added_prose), fill="#075985")
    y = _heading(body, y + 20, "you get")
    y = _code(body, y, expansion.prompt)
    height = int(y + MARGIN)
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    card = f'<rect width="{WIDTH}" height="{height}" rx="14" fill="#ffffff" stroke="#e5e7eb"/>'
    return "\n".join([head, card, *body, "</svg>", ""])


def _tags(expansion: Expansion) -> Iterator[tuple[str, tuple[str, str, str]]]:
    for region in expansion.regions:
        for tags in region.user_tags.values():
            yield from ((tag, OWN) for tag in tags)
        for category, tags in region.added_tags.items():
            yield from ((tag, COLOURS[category]) for tag in tags)


def _chips(body: list[str], y: float, chips: Iterable[tuple[str, tuple[str, str, str]]]) -> float:
    x = float(MARGIN)
    for whole, (fill, ink, border) in chips:
        text = shorten(whole, LONGEST)
        width = columns(text) * LETTER + 20
        if x + width > WIDTH - MARGIN:
            x, y = float(MARGIN), y + LINE
        box = f'x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="24" rx="12"'
        body.append(f'<rect {box} fill="{fill}" stroke="{border}"/>')
        body.append(_text(x + width / 2, y + 16.5, text, fill=ink, anchor="middle"))
        x += width + 7
    return y + LINE


def _paragraph(body: list[str], y: float, text: str, **style: str) -> float:
    for line in wrap(text, 118):
        body.append(_text(MARGIN, y + 12, line, **style))
        y += 20
    return y


def _heading(body: list[str], y: float, text: str) -> float:
    body.append(_text(MARGIN, y, text.upper(), fill="#9ca3af", size=11, spacing="1.4"))
    return y + 10


def _code(body: list[str], y: float, text: str) -> float:
    lines = [piece for line in text.split("\n") for piece in wrap(line, 100) or [""]]
    for line in lines:
        body.append(_text(MARGIN, y + 12, line, fill="#111827", family=CODE))
        y += 20
    return y


def _text(
    x: float, y: float, text: str, *, fill: str, size: int = 13, anchor: str = "start", weight: str = "400",
    spacing: str = "0", family: str = "Inter, system-ui, Segoe UI, Helvetica, Arial, sans-serif",
) -> str:  # fmt: skip
    safe = escape(UNPRINTABLE.sub("�", text))
    return (
        f'<text x="{x:.0f}" y="{y:.1f}" font-family="{family}" font-size="{size}" font-weight="{weight}" '
        f'letter-spacing="{spacing}" text-anchor="{anchor}" fill="{fill}">{safe}</text>'
    )
