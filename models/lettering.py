"""How many columns a text takes, and how it is broken into lines and cut.

Convention: a column is as wide as a Latin letter; letters of Chinese, Japanese and Korean take two.
"""

import re
import textwrap
import unicodedata

_CUT = " …"
_FILLER = "\uffff"  # stands behind a wide letter, so that it counts as two; no letter of any text
_LETTER = re.compile(f".{_FILLER}?", re.DOTALL)


class _Wrapper(textwrap.TextWrapper):
    """Cuts within a word that is longer than a line, and no wide letter in two."""

    def _handle_long_word(
        self, reversed_chunks: list[str], cur_line: list[str], cur_len: int, width: int
    ) -> None:
        whole = len(cur_line)
        super()._handle_long_word(reversed_chunks, cur_line, cur_len, width)
        cur_line[whole:] = _LETTER.findall("".join(cur_line[whole:]))
        if reversed_chunks and reversed_chunks[-1].startswith(_FILLER):
            reversed_chunks[-1] = cur_line.pop() + reversed_chunks[-1]


def columns(text: str) -> int:
    """Returns how many columns a text takes."""
    return len(text) + sum(map(_is_wide, text))


def wrap(text: str, most: int, *, lines: int | None = None) -> list[str]:
    """Returns a text in lines of at most so many columns, 2 or more, and cut after so many `lines`."""
    wrapper = _Wrapper(most, max_lines=lines, placeholder=_CUT)
    return [line.replace(_FILLER, "") for line in wrapper.wrap(_filled(text))]


def shorten(text: str, most: int) -> str:
    """Returns a text on one line, cut where it takes more than so many columns."""
    return "".join(wrap(" ".join(text.split()), most, lines=1))


def _filled(text: str) -> str:
    return "".join(letter + _FILLER if _is_wide(letter) else letter for letter in text)


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"
