"""Many prompts in one text: one a line, or parted by blank lines.

Convention: blanks around a prompt are no part of it, and an empty prompt is none. Line ends may be of any
system; a byte order mark at the start is skipped.
"""

import re

SEPARATORS = ("lines", "blank lines")

_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")


def list_prompts(text: str, *, separator: str = "lines", start: int = 0, count: int = 0) -> list[str]:
    """Returns the prompts of a text from number `start` (the first is 0) on: `count` of them, or all for 0.

    Raises ValueError for an unknown separator and for a start that is not there.
    """
    if separator not in SEPARATORS:
        raise ValueError(f"separator must be one of {', '.join(SEPARATORS)}; got {separator!r}")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    parts = text.split("\n") if separator == "lines" else _BLANK_LINES.split(text)
    found = [part.strip() for part in parts if part.strip()]
    if not 0 <= start < max(len(found), 1):
        raise ValueError(f"start must be a prompt of the list, 0 to {len(found) - 1}; got {start}")
    return found[start : start + count] if count else found[start:]
