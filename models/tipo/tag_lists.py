"""Lists of tag names from files: a folder or text file per category, or a Danbooru CSV.

A text file holds one tag a line and is named after its category (`artist.txt`, `characters.txt`, …). A CSV
has the columns name, category, count, aliases, with or without that header; the category is a word or
Danbooru's number.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..prompt.document import canonical
from .tag_words import CATEGORIES

# Danbooru's words and numbers for the categories. Its general tags need no list.
_DANBOORU = {
    **{"general": "general", "artist": "artist", "copyright": "copyrights", "character": "characters"},
    **{"meta": "meta", "0": "general", "1": "artist", "3": "copyrights", "4": "characters", "5": "meta"},
}
_STEMS = {**{name: name for name in CATEGORIES}, **{k: v for k, v in _DANBOORU.items() if not k.isdigit()}}


def read_names(paths: Sequence[Path]) -> dict[str, str]:
    """Returns canonical keys and their categories; of two categories for one key, the first in precedence.

    Raises FileNotFoundError for a missing path, ValueError for a file whose name or rows say no category.
    """
    names: dict[str, str] = {}
    for path in paths:
        for file in _files(Path(path)):
            source = _csv(file) if file.suffix.lower() == ".csv" else _text(file)
            _merge(names, source)
    return names


def read_danbooru(path: Path) -> dict[str, str]:
    """Returns the names and aliases of a Danbooru CSV that tell a category, for the table that is shipped.

    A name wins over an alias. An alias that is one plain word is left out: `air`, `love`, `rider` and
    `headwear` are aliases of series, characters and requests, and ordinary words to everybody else.
    """
    names: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for name, category, others in _rows(path):
        if category != "general":
            _merge(names, [(name, category)])
            _merge(aliases, ((other, category) for other in others if not _plain_word(other)))
    return {**aliases, **names}


def _plain_word(alias: str) -> bool:
    return alias.startswith("/") or re.fullmatch("[a-z]*", canonical(alias)) is not None


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(f for f in path.iterdir() if f.suffix.lower() in (".txt", ".csv") and f.is_file())
    if not path.is_file():
        raise FileNotFoundError(f"a tag list must be a file or a folder of files; there is none at {path}")
    return [path]


def _merge(names: dict[str, str], found: Iterable[tuple[str, str]]) -> None:
    for term, category in found:
        key = canonical(term)
        if key and CATEGORIES.index(category) < CATEGORIES.index(names.get(key, "general")):
            names[key] = category
        elif key:
            names.setdefault(key, category)


def _text(path: Path) -> Iterator[tuple[str, str]]:
    category = _STEMS.get(path.stem.lower())
    if category is None:
        raise ValueError(
            f"a tag list must be named after its category ({', '.join(CATEGORIES)}),"
            f" got {path.name}; rename it"
        )
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        yield line.strip(), category


def _csv(path: Path) -> Iterator[tuple[str, str]]:
    for name, category, aliases in _rows(path):
        yield name, category
        yield from ((alias, category) for alias in aliases if not alias.startswith("/"))


def _rows(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if not row or (number == 1 and row[:2] == ["name", "category"]):
                continue
            category = _DANBOORU.get(row[1].strip().lower()) if len(row) > 1 else None
            if category is None:
                raise ValueError(
                    f"{path.name}, line {number}: the second column must be a Danbooru category"
                    f" ({', '.join(_DANBOORU)}), got {row[1:2]}; expected name,category,count,aliases"
                )
            yield (
                row[0],
                category,
                [a.strip() for a in row[3].split(",") if a.strip()] if len(row) > 3 else [],
            )
