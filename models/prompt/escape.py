"""Additions made safe to stand in a prompt, and tags made comparable.

Brackets, braces, pipes and backslashes are escaped as A1111 and ComfyUI do it (`\\(`). Some text means
something to a host however it is written (`#`, `//`, `BREAK`, `__x__`, `<lora:...>`): no spelling is safe.
"""

import re
import unicodedata
from functools import lru_cache

from .syntax import ESCAPABLE, Kind, lex

_SPECIAL = re.compile(r"[\\()\[\]{}|]")
_ESCAPED = re.compile(r"\\([" + re.escape(ESCAPABLE) + "])")
_MEANT_FOR_HOST = re.compile(r"[#\r\n]|//|/\*|\*/|<\w+:|(?<=[\w*?./~@!-])__|__(?=[\w*?./~@!-])")
_PLAIN = (Kind.TEXT, Kind.COMMA, Kind.ESCAPE)
REMEMBERED = 4096  # the same few hundred tags come in every expansion, and several times in each


@lru_cache(maxsize=REMEMBERED)
def escape(text: str) -> str | None:
    """Returns the spelling of an addition that every host reads as plain text, or None when there is none.

    `lex(escape(t))` has only TEXT, COMMA and ESCAPE spans, and `unescape(escape(t)) == t`. Line breaks have
    no safe spelling either, since a line can be a region: collapse blanks before.
    """
    if _MEANT_FOR_HOST.search(text):
        return None
    safe = _SPECIAL.sub(r"\\\g<0>", text)
    return safe if all(span.kind in _PLAIN for span in lex(safe)) else None


def unescape(text: str) -> str:
    """Returns the text without the backslash before every bracket, brace, pipe, colon and backslash."""
    return _ESCAPED.sub(r"\1", text)


@lru_cache(maxsize=REMEMBERED)
def canonical(tag: str) -> str:
    """Returns the key by which tags are compared: unescaped, in lower case, without invisible characters,
    blanks collapsed, and with blanks for underscores from four characters on, so that `^_^` and `o_o` stay
    what they are."""
    key = " ".join(_visible(unescape(tag)).lower().split())
    return " ".join(key.replace("_", " ").split()) if len(key) >= 4 else key


def _visible(text: str) -> str:
    """The text without marks of format, as a copy from a page has them: zero-width blanks, soft hyphens, …"""
    return text if text.isascii() else "".join(c for c in text if unicodedata.category(c) != "Cf")
