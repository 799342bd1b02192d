"""The font that has the letters of a text: Pillow's own, or one of the computer's where that lacks some.

Convention: sizes in pixels. Before Pillow 10.1 its own font has one size and the letters of Latin-1.
"""

from functools import cache
from typing import Any

USUAL = (
    "NotoSansCJK-Regular.ttc",
    "YuGothM.ttc",
    "msyh.ttc",
    "malgun.ttf",
    "ヒラギノ角ゴシック W3.ttc",
    "PingFang.ttc",
    "arial.ttf",
    "DejaVuSans.ttf",
)
NARROWER = 1  # they are wider than Pillow's own: so many pixels smaller, they take as much room
UNASSIGNED = "\u0378"


def lettered(text: str, size: int) -> tuple[Any, str]:
    """Returns a font for a text, and the text as that can draw it.

    It is Pillow's own where that has every letter, else the one of these and USUAL that lacks fewest.
    """
    from PIL import ImageFont

    font = _own(size)
    if _lacking(font, text):
        font = min((font, *_usual(size - NARROWER)), key=lambda font: _lacking(font, text))
    if isinstance(font, ImageFont.ImageFont):
        text = text.replace("…", "...").encode("latin-1", "replace").decode("latin-1")
    return font, text


def _own(size: int) -> Any:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except TypeError:
        return ImageFont.load_default()


@cache
def _usual(size: int) -> tuple[Any, ...]:
    from PIL import ImageFont, features

    found = []
    for name in USUAL if features.check("freetype2") else ():
        try:
            found.append(ImageFont.truetype(name, size))
        except OSError:  # it is not on this computer
            continue
    return tuple(found)


def _lacking(font: Any, text: str) -> int:
    """How many of the letters of a text a font draws as it draws what is no letter."""
    from PIL import ImageFont

    letters = {letter for letter in text if letter.isprintable() and not letter.isspace()}
    if isinstance(font, ImageFont.ImageFont):
        return sum(letter > "\xff" for letter in letters - {"…"})
    none = _look(font, UNASSIGNED)
    return sum(_look(font, letter) == none for letter in letters)


def _look(font: Any, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
