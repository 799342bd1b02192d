"""Runs a step over the parts of a work folder; `cluster` runs the same functions on many machines.

Convention: a step reads an item where pictures are decoded (in worker processes), computes on what was read,
in chunks, where the model is, and packs a part's results into tensors. A part's result depends on nothing but
the part, so the number of workers and machines changes only the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ...files import alone
from .images import LeftOut, open_image, read_bytes
from .sources import Item
from .work import Folder, Made, Work

CHUNK = 32  # items that are computed together


@dataclass(frozen=True)
class Candidate:
    """An item that a step is to work on: its place in its part, and its captions as they now are."""

    place: int
    item: Item
    captions: tuple[str, ...] = ()


class Reader(Protocol):
    """The part of a step that runs in worker processes: it holds no model."""

    def candidates(self, part: int) -> tuple[list[Candidate], dict[str, list[str]]]:
        """Returns whom to work on, and the keys of the others by reason."""
        ...

    def read(self, candidate: Candidate) -> Any:
        """Returns what is computed on; raises LeftOut."""
        ...


class Step(Protocol):
    """What makes a part of a step's folder."""

    reader: Reader

    def compute(self, read: Sequence[Any]) -> list[Any]:
        """Returns a result for everything read; a LeftOut is a result too."""
        ...

    def pack(self, done: Sequence[tuple[Candidate, Any]]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns the tensors and the facts of a part."""
        ...


MakeStep = Callable[[], Step]


@dataclass(frozen=True)
class Everyone:
    """Reads the pictures of all items; `prepare` makes of a picture what the model takes."""

    work: Work
    prepare: Callable[[Any], Any]

    def candidates(self, part: int) -> tuple[list[Candidate], dict[str, list[str]]]:
        items = self.work.items(part)
        return [Candidate(place, item, item.captions) for place, item in enumerate(items)], {}

    def read(self, candidate: Candidate) -> Any:
        return self.prepare(open_image(read_bytes(candidate.item, self.work.roots)))


@dataclass(frozen=True)
class _Chunks(torch.utils.data.Dataset):
    """Chunks of candidates, read: (part, whether its last, pairs of whom and what was read, the others)."""

    reader: Reader
    places: Sequence[tuple[int, int]]  # part, number of the chunk
    length: int  # of a part

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, n: int) -> tuple[int, bool, list[tuple[Candidate, Any]], dict[str, list[str]]]:
        part, number = self.places[n]
        candidates, left_out = self.reader.candidates(part)
        here = [c for c in candidates if c.place // CHUNK == number]
        last = number == (self.length - 1) // CHUNK
        return part, last, [(c, _read(self.reader, c)) for c in here], left_out if last else {}


def _read(reader: Reader, candidate: Candidate) -> Any:
    try:
        return reader.read(candidate)
    except LeftOut as why:
        return why


def _make(step: Step, chunks: Iterator, folder: Folder) -> Iterator[int]:
    """Computes chunks as they come and writes a part when it is whole; yields how many items are done."""
    done: list[tuple[Candidate, Any]] = []
    for part, last, read, others in chunks:
        good = [(who, what) for who, what in read if not isinstance(what, LeftOut)]
        results = step.compute([what for _, what in good]) if good else []
        done += [(who, what) for who, what in read if isinstance(what, LeftOut)]
        done += [(who, result) for (who, _), result in zip(good, results, strict=True)]
        if last:
            folder.write(part, _made(step, done, others))
            done = []
        yield len(read) + sum(len(keys) for keys in others.values())


def _made(step: Step, done: list[tuple[Candidate, Any]], others: dict[str, list[str]]) -> Made:
    left_out = {why: list(keys) for why, keys in others.items()}
    for who, result in sorted(done, key=lambda pair: pair[0].place):
        if isinstance(result, LeftOut):
            left_out.setdefault(str(result), []).append(who.item.key)
    kept = [(who, result) for who, result in done if not isinstance(result, LeftOut)]
    tensors, facts = step.pack(sorted(kept, key=lambda pair: pair[0].place))
    return Made(tensors, facts, left_out)


def make_parts(
    step: Step, work: Work, folder: Folder, parts: Sequence[int], *, workers: int = 0
) -> Iterator[int]:
    """Makes parts of a step here and now, and yields how many items are done as they are."""
    places = [(part, number) for part in parts for number in range(-(-work.part_length // CHUNK))]
    loader = torch.utils.data.DataLoader(
        _Chunks(step.reader, places, work.part_length),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),
    )
    yield from _make(step, iter(loader), folder)


def _as_it_is(chunk: Any) -> Any:
    return chunk


def run(make_step: MakeStep, work: Work, folder: Folder, *, settings: Mapping, workers: int = 0) -> None:
    """Makes the parts of a step that are missing, with a bar; `workers` processes decode pictures.

    Raises:
        ValueError: the folder was made with other settings, or another program is at work in it.
    """
    from tqdm import tqdm

    folder.open(settings)
    with alone(folder.path):
        todo = folder.missing(work.parts)
        left = sum(len(work.items(part)) for part in todo)
        with tqdm(total=work.count, initial=work.count - left, desc=folder.path.name, unit="item") as bar:
            for count in make_parts(make_step(), work, folder, todo, workers=workers) if todo else ():
                bar.update(count)
