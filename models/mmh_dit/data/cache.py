"""Reads what the data steps have cached, as the batches of a training run.

Convention: batch `step` of a run is a function of seed and step alone. Epoch e shuffles the items of every
size, cuts them into global batches of one size each and shuffles those; a process takes its rows of a global
batch. Below balance 1 sizes are drawn as their number of items to that power instead. So a run goes on at any
step without a saved state, and twice the processes with half the batch see the same data. Sizes are (width,
height) in pixels.

b batch  n items  m text tokens  d width of the text encoder  h w latent
"""

from __future__ import annotations

import itertools
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import torch
from torch import Tensor

from ...files import read_json, write_json
from ...playground.balance import BalancedBatches, BalanceOptions
from .work import Folder, NotReady, told_by

INDEX = "index.json"
OPEN_FILES = 256
MOST_REPEATS = 4  # of an item in an epoch, where a size has fewer items than a batch
MIX = 6364136223846793005

Size = tuple[int, int]

log = logging.getLogger("presample")


class Row(NamedTuple):
    """One item: its latent (16, h, w), key, captions, and the states (m, d) of each caption where cached."""

    latent: Tensor
    key: str
    captions: list[str]
    texts: list[Tensor]


class Batch(TypedDict):
    """A batch of one size. `text` and `mask` are None without cached texts; the mask is True on tokens."""

    latents: Tensor  # (b, 16, h, w)
    text: Tensor | None  # (b, m, d)
    mask: Tensor | None  # (b, m)
    captions: list[str]
    keys: list[str]


def write_index(folder: Folder, parts: Sequence[int]) -> None:
    """Writes the index of a finished folder: for every part, how many items of which size it has."""
    found = []
    for part in parts:
        rows = folder.told(part)[0].get("rows", {})
        found.append({name: len(lines.split("\n")) for name, lines in rows.items()})
    write_json(folder.path / INDEX, {"format": 1, "parts": found})


@dataclass(frozen=True)
class LatentCache:
    """A folder of latents, and of texts where there is one; rows are read when they are asked for."""

    latents: Folder
    texts: Folder | None = None
    _open: OrderedDict = field(default_factory=OrderedDict, repr=False, compare=False)

    @classmethod
    def open(cls, latents: Path, texts: Path | None = None) -> LatentCache:
        """Returns the cache in folders that `presample data latents` and `presample data texts` have made.

        Raises:
            NotReady: a folder is not finished, or the texts are those of another selection.
        """
        folders = [Folder(path) for path in (latents, texts) if path is not None]
        for folder in folders:
            if not (folder.path / INDEX).is_file():
                raise NotReady(f"{folder.path} is not finished; run its `presample data` command to the end")
        selections = [folder.settings["selection"] for folder in folders]
        if selections[0] != selections[-1]:
            raise NotReady(f"{texts} is of another selection than {latents}; remove it and make it again")
        return cls(*folders)

    @property
    def sizes(self) -> dict[Size, Tensor]:
        """The places (n, 2) of the items of each size: part and row."""
        found: dict[Size, list[Tensor]] = {}
        for part, sizes in enumerate(read_json(self.latents.path / INDEX)["parts"]):
            for name, count in sizes.items():
                width, height = map(int, name.split("x"))
                rows = torch.stack([torch.full((count,), part), torch.arange(count)], dim=1)
                found.setdefault((width, height), []).append(rows)
        return {size: torch.cat(places) for size, places in sorted(found.items())}

    @property
    def text_shape(self) -> tuple[int, int]:
        """The most tokens that a text was given, and the width of their states."""
        files = (self._opened(self.texts.file(part), _spans)[0] for part in itertools.count())
        states = next(file.get_slice("states") for file in files if "states" in file.keys())  # noqa: SIM118
        return self.texts.settings["length"], states.get_shape()[1]

    def row(self, size: Size, part: int, row: int) -> Row:
        """Returns an item."""
        name = f"{size[0]}x{size[1]}"
        file, rows = self._opened(self.latents.file(part), _rows)
        told = json.loads(rows[name][row])
        latent = file.get_slice(name)[row : row + 1][0].clone()
        place = int(file.get_slice(f"places{name}")[row : row + 1][0])
        return Row(
            latent, told["key"], told["captions"], self._texts(part, place, told) if self.texts else []
        )

    def _texts(self, part: int, place: int, told: dict[str, Any]) -> list[Tensor]:
        file, captions, places, spans, starts = self._opened(self.texts.file(part), _spans)
        at = places.get(place)
        if at is None or captions[at] != told["captions"]:
            raise NotReady(f"{self.texts.path} has other captions for {told['key']}; make it again")
        states = file.get_slice("states")
        return [states[starts[k] : starts[k + 1]].clone() for k in range(spans[at], spans[at + 1])]

    def _opened(self, path: Path, read: Callable[[Any], tuple]) -> tuple:
        """The files used last stay open; a process may not have thousands."""
        from safetensors import safe_open

        if path not in self._open:
            self._open[path] = read(safe_open(path, "pt"))
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)
        self._open.move_to_end(path)
        return self._open[path]

    def __getstate__(self) -> dict[str, Any]:
        return {"latents": self.latents, "texts": self.texts, "_open": OrderedDict()}


def _rows(file: Any) -> tuple:
    rows = told_by(file)[0]["rows"]
    return file, {name: lines.split("\n") for name, lines in rows.items()}


def _spans(file: Any) -> tuple:
    places = {place: at for at, place in enumerate(file.get_tensor("places").tolist())}
    spans, starts = (file.get_tensor(name).tolist() for name in ("captions", "starts"))
    return file, told_by(file)[0]["captions"], places, spans, starts


@dataclass(frozen=True)
class LatentBatches(torch.utils.data.Dataset):
    """Batch `step` of a run, for any step from 0 on; `len` is the batches of an epoch.

    A loader that goes on at a step takes `sampler=itertools.count(step), batch_size=None`.
    `batch` is the size of one process's batch, `rank` this process and `count` how many there are. With
    `text_length` every text has that many tokens, else as many as the longest of its batch.
    """

    cache: LatentCache
    batch: int
    seed: int = 0
    rank: int = 0
    count: int = 1
    text_length: int | None = None
    balance: float = 1.0
    _kept: dict = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self):
        if self.batch < 1 or not 0 <= self.rank < self.count:
            got = f"batch {self.batch}, rank {self.rank} of {self.count}"
            raise ValueError(f"batch must be at least 1 and rank below count, got {got}")
        sizes, whole = self.cache.sizes, self.batch * self.count
        served = {size: places for size, places in sizes.items() if len(places) * MOST_REPEATS >= whole}
        few = [f"{w}x{h} ({len(sizes[w, h])})" for w, h in sizes if (w, h) not in served]
        if not served:
            told = ", ".join(few) or "none"
            raise ValueError(
                f"a batch of {whole} needs {-(-whole // MOST_REPEATS)} items of a size, got {told}; lower it"
            )
        if few:
            log.warning("a batch of %d leaves out sizes with too few items: %s", whole, ", ".join(few))
        self._kept["sizes"] = served

    def __len__(self) -> int:
        whole = self.batch * self.count
        return sum(-(-len(places) // whole) for places in self._kept["sizes"].values())

    def __getitem__(self, step: int) -> Batch:
        size, places, turns = self._balanced(step) if self.balance < 1 else self._in_epoch(step)
        mine = slice(self.rank * self.batch, (self.rank + 1) * self.batch)
        drawn = zip(places[mine].tolist(), turns[mine], strict=True)
        rows = [(self.cache.row(size, part, row), part + row + turn) for (part, row), turn in drawn]
        # An item with several captions shows the next one every epoch.
        picked = [turn % max(1, len(row.captions)) for row, turn in rows]
        texts = [row.texts[k] for (row, _), k in zip(rows, picked, strict=True)] if self.cache.texts else []
        text, mask = pad(texts, self.text_length) if texts else (None, None)
        return Batch(
            latents=torch.stack([row.latent for row, _ in rows]),
            text=text,
            mask=mask,
            captions=[row.captions[k] for (row, _), k in zip(rows, picked, strict=True)],
            keys=[row.key for row, _ in rows],
        )

    def _in_epoch(self, step: int) -> tuple[Size, Tensor, list[int]]:
        """Size, places and turn of each item of a global batch."""
        epoch, number = divmod(step, len(self))
        size, places = self.places(epoch, number)
        return size, places, [epoch] * len(places)

    def _balanced(self, step: int) -> tuple[Size, Tensor, list[int]]:
        sizes, whole = self._kept["sizes"], self.batch * self.count
        bucket, turn = self._plan.locate(step)
        size, first = list(sizes)[bucket], turn * whole
        places = sizes[size][self._plan.rows(bucket, first, first + whole)]
        return size, places, [number // len(sizes[size]) for number in range(first, first + whole)]

    @cached_property
    def _plan(self) -> BalancedBatches:
        counts = tuple(len(places) for places in self._kept["sizes"].values())
        options = BalanceOptions(self.balance)
        return BalancedBatches(counts, self.batch * self.count, options, seed=self.seed)

    def places(self, epoch: int, number: int) -> tuple[Size, Tensor]:
        """Returns the size and the places (n, 2) of a global batch."""
        if self._kept.get("epoch") != epoch:
            self._kept.update(epoch=epoch, batches=self._shuffled(epoch))
        return self._kept["batches"][number]

    def _shuffled(self, epoch: int) -> list[tuple[Size, Tensor]]:
        generator = torch.Generator().manual_seed((self.seed * MIX + epoch) % 2**63)
        whole, found = self.batch * self.count, []
        for size, places in self._kept["sizes"].items():
            order = torch.randperm(len(places), generator=generator)
            # The last batch is filled up from the beginning of the same order: nobody is left out.
            filled = order.repeat(-(-whole // len(order)) + 1)[: -(-len(order) // whole) * whole]
            found += [(size, places[rows]) for rows in filled.split(whole)]
        return [found[i] for i in torch.randperm(len(found), generator=generator).tolist()]


def pad(texts: Sequence[Tensor], length: int | None = None) -> tuple[Tensor, Tensor]:
    """Returns states (b, m, d), zero where there is no token, and the mask (b, m), of texts (m, d) each.

    Raises:
        ValueError: a text is longer than `length`.
    """
    longest = max(len(text) for text in texts)
    m = longest if length is None else length
    if longest > m:
        raise ValueError(f"texts must have at most {m} tokens, got {longest}; raise text_length")
    padded = texts[0].new_zeros(len(texts), m, texts[0].shape[-1])  # (b, m, d)
    mask = torch.zeros(len(texts), m, dtype=torch.bool)  # (b, m)
    for row, text in enumerate(texts):
        padded[row, : len(text)] = text
        mask[row, : len(text)] = True
    return padded, mask
