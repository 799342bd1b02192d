"""The eight categories of a tag, and the one a term belongs to.

A term is looked up by its canonical key (lower case, escapes undone, `_` read as a blank): first in the
user's own lists, then among the words of `tag_words`, then in the table of names beside this file; anything
else is `general`. The word `general` itself is a rating. Source: categories and fixed words of tipo-kgen
0.3.1; names: TAGS.md.
"""

import functools
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..prompt.document import canonical
from .tag_lists import read_names
from .tag_words import (
    CATEGORIES,
    QUALITY,
    QUALITY_ELSEWHERE,
    RATING,
    RATING_ELSEWHERE,
    RATING_LETTERS,
    RATING_PREFIXES,
    SPECIAL,
)

TABLE = Path(__file__).with_name("tags.txt.gz")

_LETTERS = dict(zip("pqrmcsag", CATEGORIES, strict=True))
_LETTER_OF = {category: letter for letter, category in _LETTERS.items()}


class Names:
    """A sorted text of `name<tab>letter` lines, searched in place: a dict takes nine times the memory."""

    def __init__(self, blob: bytes):
        self.blob = blob

    def __len__(self) -> int:
        return self.blob.count(b"\n")

    def find(self, key: str) -> str | None:
        """Returns the category of a canonical key, or None."""
        wanted, low, high = key.encode("utf-8", "surrogatepass"), 0, len(self.blob)
        while low < high:
            middle = (low + high) // 2
            start = self.blob.rfind(b"\n", low, middle) + 1 or low
            end = self.blob.index(b"\n", middle)
            name, _, letter = self.blob[start:end].partition(b"\t")
            if name == wanted:
                return _LETTERS[letter.decode()]
            if name < wanted:
                low = end + 1
            else:
                high = start
        return None


def pack(names: Mapping[str, str]) -> bytes:
    """Returns the text that `Names` searches, from canonical keys and their categories."""
    lines = sorted(key.encode() + b"\t" + _LETTER_OF[category].encode() for key, category in names.items())
    return b"".join(line + b"\n" for line in lines)


class TagTable:
    """Which category a term belongs to. Made by `load_tags`."""

    def __init__(self, own: Names | None = None):
        self._own = own

    def lookup(self, term: str) -> str:
        """Returns the category of a term in any spelling: `Hatsune_Miku`, `hatsune miku` or `x \\(y\\)`."""
        key = canonical(term)
        if self._own is not None and (category := self._own.find(key)):
            return category
        return _category(key)

    def classify(self, terms: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Returns the terms by category, in the user's order and spelling; no empty categories."""
        found: dict[str, list[str]] = {}
        for term in terms:
            found.setdefault(self.lookup(term), []).append(term)
        return {category: tuple(found[category]) for category in CATEGORIES if category in found}


def load_tags(extra: Sequence[Path] = ()) -> TagTable:
    """Returns the table; `extra` are the user's own lists, which win over everything else (see tag_lists.py).

    Raises FileNotFoundError or ValueError when a list cannot be read.
    """
    if not extra:
        return TagTable()
    return TagTable(Names(pack(read_names(extra))))


def spell(term: str, category: str) -> tuple[str, ...]:
    """Returns the words the language model is shown for a term of a category: as its training spelt them.

    Empty for a quality word of another family of checkpoints, which the model has never seen.
    """
    key = canonical(term)
    known = _fixed().get(key)
    if known is not None and known[0] == category:
        return known[1]
    return (key,) if key else ()


@functools.lru_cache(maxsize=4096)
def _category(key: str) -> str:
    """Returns the category of a canonical key that is in no list of the user's own."""
    if key in _fixed():
        return _fixed()[key][0]
    return _shipped().find(key) or "general"


def is_special(term: str) -> bool:
    """Returns whether a term counts people (1girl, 2boys, …); needs no table of names."""
    return _fixed().get(canonical(term), ("", ()))[0] == "special"


@functools.cache
def _fixed() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Canonical key -> category and the words the model is shown; the first of two categories stays."""
    words: dict[str, tuple[str, tuple[str, ...]]] = {}
    for word in SPECIAL:
        words.setdefault(canonical(word), ("special", (word,)))
    for word in QUALITY:
        words.setdefault(canonical(word), ("quality", (word,)))
    for word in QUALITY_ELSEWHERE:
        words.setdefault(canonical(word), ("quality", ()))
    ratings = {**{word: word for word in RATING}, **RATING_ELSEWHERE}
    for word, shown in ratings.items():
        for prefix in RATING_PREFIXES:
            words.setdefault(canonical(prefix + word), ("rating", (shown,)))
    for letter, word in RATING_LETTERS.items():
        words.setdefault(canonical("rating:" + letter), ("rating", (word,)))
    return words


@functools.cache
def _shipped() -> Names:
    return Names(zlib.decompress(TABLE.read_bytes(), wbits=31))
