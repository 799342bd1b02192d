"""The folder that the data steps share: the list of items, and what each step made of them, part by part.

Convention: items are listed in parts of equal length, `items/000000.jsonl` and so on; item `i` of part `p`
has the number p * part_length + i. A step writes one safetensors file a part, in one move: it is there whole
or not at all, so a run that was killed goes on with the parts that are missing. `settings.json` of a step
says what decided its result; another result needs another folder.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ...files import alone, check_same, open_text, read_json, write_json, written
from .sources import Item, find

ITEMS, SOURCES, PROBLEMS = "items", "sources.json", "problems.jsonl"
PART = 512


class NotReady(ValueError):
    """A step needs what an earlier one has not made yet."""


@dataclass(frozen=True)
class Work:
    """A work folder whose items are listed."""

    folder: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the listing wrote: sources, items, part_length, left_out."""
        path = self.folder / SOURCES
        if not path.is_file():
            raise NotReady(f"{self.folder} must be a work folder; make one with `presample data scan SOURCE`")
        return read_json(path)

    @property
    def part_length(self) -> int:
        return self.facts["part_length"]

    @property
    def count(self) -> int:
        return self.facts["items"]

    @property
    def parts(self) -> range:
        return range(-(-self.count // self.part_length))

    @property
    def roots(self) -> list[Path]:
        """The folders that items' files are in."""
        paths = [Path(source) for source in self.facts["sources"]]
        return [path.parent if path.suffix == ".tar" and not path.is_dir() else path for path in paths]

    def items(self, part: int) -> list[Item]:
        """Returns the items of a part, in their order."""
        with open(self.folder / ITEMS / f"{part:06d}.jsonl", encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        return [Item(**{**record, "captions": tuple(record["captions"])}) for record in records]


def scan(sources: list[Path], folder: Path, *, field: str = "", uncaptioned: bool = False, part: int = PART):
    """Lists the items of `sources` in a work folder and returns it; one that lists them already is kept.

    Raises:
        ValueError: the folder lists other sources, or a source has no pictures.
    """
    named = [str(source.resolve()) for source in sources]
    asked = {"sources": named, "field": field, "uncaptioned": uncaptioned, "part_length": part}
    if (folder / SOURCES).is_file():
        check_same(folder / SOURCES, asked)
        logging.getLogger("presample").info(
            "%s lists these sources already, and they were not looked at again; pictures or captions that "
            "came or changed since then want another work folder",
            folder,
        )
        return Work(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ITEMS).mkdir(exist_ok=True)
    with alone(folder), open_text(folder / PROBLEMS) as problems:

        def on_problem(key: str, why: str) -> None:
            left_out[why] = left_out.get(why, 0) + 1
            problems.write(json.dumps({"key": key, "why": why}, ensure_ascii=False) + "\n")

        left_out: dict[str, int] = {}
        found = _captioned(find(sources, field=field, on_problem=on_problem), uncaptioned, on_problem)
        count = _list(found, folder / ITEMS, part)
        if not count:
            raise ValueError(f"{', '.join(named)} must hold pictures with captions, and none was found")
        # Last, so that a listing that was cut short counts as none.
        write_json(folder / SOURCES, {**asked, "items": count, "left_out": left_out})
    return Work(folder)


def _captioned(found: Iterator[Item], uncaptioned: bool, on_problem) -> Iterator[Item]:
    from tqdm import tqdm

    for item in tqdm(found, desc="finding", unit="picture", mininterval=1):
        if item.captions or uncaptioned:
            yield item
        else:
            on_problem(item.key, "no caption")


def _list(found: Iterator[Item], folder: Path, length: int) -> int:
    count = 0
    lines: list[str] = []
    for item in found:
        lines.append(json.dumps(asdict(item), ensure_ascii=False))
        if len(lines) == length:
            _write_lines(folder / f"{count // length:06d}.jsonl", lines)
            count, lines = count + length, []
    if lines:
        _write_lines(folder / f"{count // length:06d}.jsonl", lines)
    return count + len(lines)


def _write_lines(path: Path, lines: list[str]) -> None:
    with open_text(path) as file:
        file.write("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Made:
    """What a step made of one part: tensors, facts about them, and the keys left out by reason."""

    tensors: Mapping[str, torch.Tensor]
    facts: Mapping[str, Any]
    left_out: Mapping[str, list[str]]


@dataclass(frozen=True)
class Folder:
    """The folder of one step: its settings, and a file for every part that is done."""

    path: Path

    def open(self, settings: Mapping[str, Any]) -> None:
        """Makes the folder for these settings.

        Raises:
            ValueError: parts were made with other settings.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self._settings.is_file() and any(self.path.glob("*.safetensors")):
            check_same(self._settings, settings)
        else:
            write_json(self._settings, dict(settings))

    @property
    def _settings(self) -> Path:
        return self.path / "settings.json"

    @property
    def settings(self) -> dict[str, Any]:
        return read_json(self._settings) if self._settings.is_file() else {}

    def file(self, part: int) -> Path:
        return self.path / f"{part:06d}.safetensors"

    def missing(self, parts: range) -> list[int]:
        """Returns the parts that are still to be done."""
        there = {entry.name for entry in os.scandir(self.path)} if self.path.is_dir() else set()
        return [part for part in parts if self.file(part).name not in there]

    def complete(self, work: Work) -> bool:
        return self._settings.is_file() and not self.missing(work.parts)

    def write(self, part: int, made: Made) -> None:
        """Writes a part in one move."""
        # One text: the order of several in a safetensors file differs from run to run.
        told = json.dumps([made.facts, made.left_out])
        save(self.file(part), made.tensors, {"part": told})

    def read(self, part: int) -> Made:
        """Returns a part that is done."""
        from safetensors import safe_open

        with safe_open(self.file(part), "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Made(tensors, *told_by(file))

    def told(self, part: int) -> tuple[dict[str, Any], dict[str, list[str]]]:
        """Returns the facts of a part and who was left out of it, without its tensors."""
        from safetensors import safe_open

        with safe_open(self.file(part), "pt") as file:
            return told_by(file)


def told_by(file: Any) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Returns the facts of an open part and who was left out of it."""
    facts, left_out = json.loads(file.metadata()["part"])
    return facts, left_out


def save(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file in one move, on the disk before it gets its name."""
    from safetensors.torch import save_file

    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with written(path) as half:
        save_file(whole, half, metadata=dict(metadata))
