"""Files of prompts: JSON Lines, CSV with a header, or plain text with a prompt on each line.

Convention: a record is a prompt with what belongs to it, a line of JSON or of text, or a row of CSV, which
may take several lines. Records count from 0, lines of the file from 1. A part is a run of records that can be
read by itself, from its offset on. A record that cannot be read is a Problem and stops nothing. Where a row
of CSV breaks the rules of quotation, that is its first line's fault, which is a Problem, and with tabs a row
as it stands: the lines after it are read as if they began there.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from ...options import Option, describe, validate
from ...prompt.layout import find_layout
from ..bans import compile_bans
from ..expansion import Request
from ..options import ExpandOptions, seed_after

FORMATS = ("auto", "jsonl", "csv", "lines")
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "csv"}
SEEDS = ("count", "same", "id")
OWN = ("prompt", "prose", "id", "seed")
BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True)
class Source:
    """A file of prompts: its format, and for CSV its columns and what parts them."""

    path: Path
    format: str
    columns: tuple[str, ...] = ()
    delimiter: str = ","


@dataclass(frozen=True)
class Part:
    """A run of `count` records from record `first` on, which begins at byte `offset`, on line `line`."""

    number: int
    first: int
    count: int
    offset: int
    line: int


@dataclass(frozen=True)
class Listing:
    """What is in a file of prompts; `sha256` is that of all of it."""

    source: Source
    parts: tuple[Part, ...]
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Problem:
    """Why a record cannot be expanded."""

    why: str


@dataclass(frozen=True)
class Record:
    """One record: its number, the line on which it begins, and its fields, or what is wrong with it."""

    index: int
    line: int
    fields: dict[str, Any] | Problem


@dataclass(frozen=True)
class Rules:
    """How records are expanded: options and prose of those that state none, variations of each, where seeds
    come from, whether all that is known is told, and how many rows are decoded together."""

    options: ExpandOptions
    count: int = 1
    seeds: str = "count"
    full: bool = False
    rows: int = 64
    prose: str = ""

    def check(self) -> None:
        """Raises ValueError where no record could be expanded with these options."""
        validate(self.options)
        find_layout(self.options.layout)
        compile_bans(self.options.ban)


@dataclass(frozen=True)
class Asked:
    """A record that can be expanded. `unused` are fields of it that say nothing to an expansion."""

    record: Record
    id: str | int | float | None
    request: Request
    unused: tuple[str, ...] = ()


def list_parts(path: Path, *, format: str = "auto", part: int = 512) -> Listing:
    """Returns the parts of a file of prompts, which is read once from end to end.

    Raises:
        ValueError: the file is empty or UTF-16, or a CSV file has no column `prompt`.
    """
    if format == "auto":
        format = SUFFIXES.get(path.suffix.lower(), "lines")
    source = Source(path.resolve(), format, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    digest, parts, offset, line, records = hashlib.sha256(), [], 0, 1, 0
    with open(path, "rb") as file:
        if file.read(2) in UTF_16:
            raise ValueError(f"{path} must be UTF-8 text, got UTF-16; save it as UTF-8")
        file.seek(0)
        found = _split(_hashed(file, digest), source)
        if format == "csv":
            lines, offset, names = next(found, (0, 0, []))
            source, line = replace(source, columns=_columns(path, names)), 1 + lines
        for lines, size, _ in found:
            if records % part == 0:
                parts.append(Part(len(parts), records, part, offset, line))
            records, offset, line = records + 1, offset + size, line + lines
    if not records:
        raise ValueError(f"{path} must hold prompts, and it is empty")
    parts[-1] = replace(parts[-1], count=records - parts[-1].first)
    return Listing(source, tuple(parts), records, offset, digest.hexdigest())


def _columns(path: Path, names: list[str] | Problem) -> tuple[str, ...]:
    names = [] if isinstance(names, Problem) else [name.strip() for name in names]
    columns = tuple(name if name.lower() in names else name.lower() for name in names)
    if "prompt" not in columns:
        raise ValueError(
            f"the first line of {path} must name its columns, one of them prompt, got {', '.join(columns)}"
        )
    return columns


def read_part(source: Source, part: Part) -> Iterator[Record]:
    """Yields the records of a part."""
    line = part.line
    with open(source.path, "rb") as file:
        file.seek(part.offset)
        found = _split(file, source, begins=part.offset == 0)
        for index, (lines, _, content) in zip(
            range(part.first, part.first + part.count), found, strict=False
        ):
            yield Record(index, line, _fields(content, source))
            line += lines


def _hashed(file: BinaryIO, digest: Any) -> Iterator[bytes]:
    for raw in file:
        digest.update(raw)
        yield raw


def _split(
    raw_lines: Iterable[bytes], source: Source, *, begins: bool = True
) -> Iterator[tuple[int, int, bytes | list[str] | Problem]]:
    """Yields of each record how many lines and bytes it takes and what is in it."""
    if source.format == "csv":
        yield from _rows(raw_lines, source.delimiter, begins)
        return
    for raw in raw_lines:
        yield 1, len(raw), raw.removeprefix(BOM) if begins else raw
        begins = False


def _rows(raw_lines: Iterable[bytes], delimiter: str, begins: bool) -> Iterator[tuple[int, int, Any]]:
    coming, again, taken = iter(raw_lines), [], []

    def texts() -> Iterator[str]:
        nonlocal begins
        while (raw := again.pop() if again else next(coming, None)) is not None:
            taken.append(raw)
            yield _text(raw.removeprefix(BOM) if begins else raw)
            begins = False

    rows = csv.reader(texts(), delimiter=delimiter, strict=True)
    while True:
        taken.clear()
        try:
            row: list[str] | Problem = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            again += reversed(taken[1:])
            del taken[1:]
            rows = csv.reader(texts(), delimiter=delimiter, strict=True)
            row = Problem(f"it is no row of CSV: {error}")
            if delimiter == "\t":
                row = _text(taken[0]).rstrip("\r\n").split("\t")
        yield len(taken), sum(map(len, taken)), row


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="surrogateescape")


def _fields(content: bytes | list[str] | Problem, source: Source) -> dict[str, Any] | Problem:
    if isinstance(content, Problem):
        return content
    if isinstance(content, list):
        return _row_fields(content, source.columns)
    try:
        text = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        return Problem(f"it is no UTF-8 text: {error}")
    return {"prompt": text} if source.format == "lines" else _json_fields(text)


def _row_fields(row: list[str], columns: tuple[str, ...]) -> dict[str, Any] | Problem:
    if not row:
        return Problem("the line is empty")
    if len(row) != len(columns):
        return Problem(f"it must have {len(columns)} columns, got {len(row)}")
    try:
        "".join(row).encode("utf-8")
    except UnicodeEncodeError:
        return Problem("it is no UTF-8 text")
    return {name: text for name, text in zip(columns, row, strict=True) if text or name == "prompt"}


def _json_fields(text: str) -> dict[str, Any] | Problem:
    if not text.strip():
        return Problem("the line is empty")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Problem(f"it is no JSON: {error}")
    if not isinstance(found, dict):
        return Problem(f'it must be a JSON object such as {{"prompt": "lake"}}, got {text[:40]}')
    return found


def ask(record: Record, rules: Rules) -> Asked:
    """Returns what a record asks for: its prompt with the options, but for those that it states itself.

    A record without a seed has the one of the options plus `count` times its number ("count"), the one of the
    options ("same"), or one drawn from that and its id ("id").

    Raises:
        ValueError: something about the record is wrong; the message says what.
    """
    if isinstance(record.fields, Problem):
        raise ValueError(record.fields.why)
    fields = record.fields
    for name in ("prompt", "prose"):
        if not isinstance(fields.get(name, "" if name == "prose" else None), str):
            raise ValueError(f"{name} must be text, got {fields.get(name)!r}")
    number = fields.get("id")
    if number is not None and not is_id(number):
        raise ValueError(f"id must be text or a finite number, got {number!r}")
    if "model" in fields:
        raise ValueError("model must be the same for all records: give it on the command line")
    known = _options()
    own = {name: _value(known[name], value) for name, value in fields.items() if name in known}
    own.setdefault("seed", _seed(rules.options.seed, record.index * rules.count, number, rules.seeds))
    asked = replace(rules.options, **own)
    if len(own) > 1 or "seed" in fields:
        try:
            validate(asked)
        except TypeError as error:
            raise ValueError(str(error)) from error
    unused = tuple(sorted(name for name in fields if name not in known and name not in OWN))
    return Asked(record, number, Request(fields["prompt"], fields.get("prose", rules.prose), asked), unused)


def is_id(value: Any) -> bool:
    """Returns whether a value is an id: text or a finite number, for JSON has no other numbers."""
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


@cache
def _options() -> dict[str, Option]:
    return {option.name: option for option in describe(ExpandOptions)}


def _value(option: Option, value: Any) -> Any:
    """Returns a field as its option's type where it is text, as all of CSV is."""
    if not isinstance(value, str) or option.type is str:
        return value
    if option.type is bool:
        word = value.strip().lower()
        if word not in (*TRUE, *FALSE):
            raise ValueError(f"{option.name} must be true or false, got {value!r}")
        return word in TRUE
    try:
        return option.type(value)
    except ValueError as error:
        raise ValueError(f"{option.name} must be a number, got {value!r}") from error


def _seed(base: int, offset: int, number: Any, seeds: str) -> int:
    if seeds == "same":
        return base
    if seeds == "count":
        return seed_after(base, offset)
    if number is None:
        raise ValueError("it must have an id or a seed, for the seed is drawn from the id")
    return int.from_bytes(hashlib.sha256(f"{base}:{number}".encode()).digest()[:4], "big")
