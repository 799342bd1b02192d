"""The little world as training data: latents of painted scenes, and the tokens of what may be said of them.

Convention: the pictures are those of `tinyworld.pictures` and, with every `CHUNK` of them, a few canvases of
one colour; painting is done once, in a file for each chunk, and goes on where it stopped. Pictures have the
shapes of their scenes: all of about 256 latent cells. Sizes are (width, height) in latent cells. Prompts are
kept as tokens and encoded on use, since states are 100 times as big.

b batch  n pictures of a size  m text tokens  d width of the text encoder  h w latent
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ...files import check_same, write_json, written
from ...playground.balance import BalancedBatches, BalanceOptions
from ...seeds import generator_for
from ...tinyworld.pictures import VERSION, Draw, draws, prompt
from ...tinyworld.solids import solid_picture, solid_prompt, solids
from ...trainer.fit import Place
from ..pipeline import STRIDE
from .batches import Batch

CHUNK = 256
WINDOW = 8  # batches whose prompts are sorted by length together
Size = tuple[int, int]
Paint = Callable[[Draw], Tensor]  # -> image (3, H, W), uint8
Encode = Callable[[Tensor], Tensor]  # images (b, 3, H, W) in 0..1 -> latents (b, 16, h, w)
Tokens = Callable[[str], list[int]]
States = Callable[[Tensor, Tensor], Tensor]  # ids and mask (b, m) -> states (b, m, d)


@dataclass(frozen=True)
class Painting:
    """What decides the files: how many scenes, how many canvases of one colour with every chunk of them, how
    many prompts of each and of how many tokens, the seed; the painter's version, and what tells the
    autoencoder and the words from others."""

    pictures: int
    solids: int = 2
    prompts: int = 6
    text_len: int = 128
    seed: int = 0
    painter: int = VERSION
    autoencoder: str = ""
    words: str = ""


@dataclass(frozen=True)
class Tools:
    """What makes the files: a painter, the encoder of pictures, and the tokens of a prompt."""

    paint: Paint
    encode: Encode
    tokens: Tokens


def paint_all(folder: Path, how: Painting, tools: Tools, *, place: Place) -> None:
    """Makes this process's share of the files that are missing.

    Raises:
        ValueError: the folder's files were made in another way.
    """
    from safetensors.torch import save_file
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    _same_settings(folder, how)
    wanted = range(-(-how.pictures // CHUNK))
    mine = [i for i in wanted if i % place.count == place.rank and not _file(folder, i).exists()]
    for index in tqdm(mine, desc="painting", unit="file", disable=place.rank > 0 or not mine):
        with written(_file(folder, index)) as half:
            save_file(_chunk(index, how, tools), half)


def _same_settings(folder: Path, how: Painting) -> None:
    path, now = folder / "settings.json", {k: v for k, v in asdict(how).items() if k != "pictures"}
    if path.exists():
        check_same(path, now)
    else:
        write_json(path, now)


def _file(folder: Path, index: int) -> Path:
    return folder / f"{index:05d}.safetensors"


def _chunk(index: int, how: Painting, tools: Tools) -> dict[str, Tensor]:
    """For each size `latents16x16` (n, 16, h, w), and all tokens of its prompts: those of prompt k of picture
    i begin at `starts[i * prompts + k]`."""
    found: dict[str, Tensor] = {}
    made = _scenes(index, how, tools) + _canvases(index, how, tools)
    for width, height in sorted({each.size for each in made}):
        here = [each for each in made if each.size == (width, height)]
        name = f"{width}x{height}"
        images = torch.stack([each.image for each in here]).float() / 255
        found[f"latents{name}"] = tools.encode(images).half().contiguous()
        rows = [ids for each in here for ids in each.prompts]
        found[f"ids{name}"] = torch.tensor(list(itertools.chain(*rows)), dtype=torch.int32)
        found[f"starts{name}"] = torch.tensor([0, *itertools.accumulate(map(len, rows))], dtype=torch.int32)
    return found


class _Made(NamedTuple):
    """A picture (3, H, W), uint8, and the tokens of its prompts."""

    image: Tensor
    prompts: list[list[int]]

    @property
    def size(self) -> Size:
        height, width = self.image.shape[-2:]
        return width // STRIDE, height // STRIDE


def _scenes(index: int, how: Painting, tools: Tools) -> list[_Made]:
    return [
        _Made(tools.paint(draw), _ids([prompt(draw, number=k).text for k in range(how.prompts)], how, tools))
        for draw in draws(how.seed, CHUNK, start=index * CHUNK)
    ]


def _canvases(index: int, how: Painting, tools: Tools) -> list[_Made]:
    return [
        _Made(
            solid_picture(solid),
            _ids([solid_prompt(solid, number=k) for k in range(how.prompts)], how, tools),
        )
        for solid in solids(how.seed, how.solids, start=index * how.solids)
    ]


def _ids(prompts: Sequence[str], how: Painting, tools: Tools) -> list[list[int]]:
    """The tokens of prompts; a longer one loses its end, but keeps the token that ends it."""
    found = map(tools.tokens, prompts)
    return [ids if len(ids) <= how.text_len else [*ids[: how.text_len - 1], ids[-1]] for ids in found]


@dataclass(frozen=True)
class Bank:
    """The painted pictures in memory: latents (n, 16, h, w) of each size, and n lists of prompts' tokens."""

    latents: dict[Size, Tensor]
    prompts: dict[Size, list[list[Tensor]]]

    @classmethod
    def read(cls, folder: Path, how: Painting) -> Bank:
        """Returns what `paint_all` has made."""
        latents: dict[Size, list[Tensor]] = {}
        prompts: dict[Size, list[list[Tensor]]] = {}
        for size, more, ids in itertools.chain.from_iterable(
            _read(_file(folder, i), how.prompts) for i in range(-(-how.pictures // CHUNK))
        ):
            latents.setdefault(size, []).append(more)
            prompts.setdefault(size, []).extend(ids)
        return cls({size: torch.cat(latents[size]) for size in sorted(latents)}, prompts)


def _read(path: Path, count: int) -> Iterator[tuple[Size, Tensor, list[list[Tensor]]]]:
    from safetensors.torch import load_file

    tensors = load_file(path)
    for name in [n.removeprefix("latents") for n in tensors if n.startswith("latents")]:
        width, height = map(int, name.split("x"))
        starts = tensors[f"starts{name}"].tolist()
        rows = [tensors[f"ids{name}"][a:b] for a, b in itertools.pairwise(starts)]
        yield (
            (width, height),
            tensors[f"latents{name}"],
            [rows[i : i + count] for i in range(0, len(rows), count)],
        )


@dataclass(frozen=True)
class WorldBatches:
    """Batch `number` of a run: pictures of one size with prompts of like length, so that little is padding.

    At balance 1 an epoch shows every picture once, with one of its prompts. Below, sizes are drawn as their
    number of pictures to that power: rare shapes more often, see `playground.balance`. `batch` is the size of
    one process's batch; `encode` makes states of tokens.
    """

    bank: Bank
    batch: int
    encode: States
    pad: int
    seed: int = 0
    place: Place = Place()  # noqa: RUF009
    balance: float = 1.0
    _kept: dict = field(default_factory=dict, repr=False, compare=False)

    def __getitem__(self, number: int) -> Batch:
        if self.balance < 1:
            size, rows, turns = self._balanced(number)
        else:
            epoch, number = divmod(number, len(self))
            size, rows, turns = self._epoch(epoch)[number]
        mine = slice(self.place.rank, None, self.place.count)
        texts = [self.bank.prompts[size][i][k] for i, k in zip(rows[mine], turns[mine], strict=True)]
        ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=self.pad).long()
        lengths = torch.tensor([[len(text)] for text in texts])
        mask = torch.arange(ids.shape[1]) < lengths  # (b, m)
        return Batch(latents=self.bank.latents[size][rows[mine]], text=self.encode(ids, mask), mask=mask)

    def __len__(self) -> int:
        """Batches of an epoch; what is left over of a size sits this epoch out."""
        count = sum(len(latents) // self._whole for latents in self.bank.latents.values())
        if not count:
            raise ValueError(
                f"a batch of {self._whole} needs as many pictures of a size: paint more, or lower it"
            )
        return count

    @property
    def _whole(self) -> int:
        return self.batch * self.place.count

    def _epoch(self, epoch: int) -> list[tuple[Size, list[int], list[int]]]:
        """The batches of an epoch as size, pictures, and which of its prompts each has."""
        if self._kept.get("epoch") != epoch:
            generator = generator_for(self.seed, epoch, 8)
            found = [each for size in self.bank.latents for each in self._of_size(size, generator)]
            order = torch.randperm(len(found), generator=generator).tolist()
            self._kept.update(epoch=epoch, batches=[found[i] for i in order])
        return self._kept["batches"]

    def _of_size(self, size: Size, generator: torch.Generator) -> Iterator[tuple[Size, list[int], list[int]]]:
        prompts, whole = self.bank.prompts[size], self._whole
        order = torch.randperm(len(prompts), generator=generator).tolist()
        picked = torch.randint(len(prompts[0]), (len(prompts),), generator=generator).tolist()
        order = order[: len(order) // whole * whole]
        for begin in range(0, len(order), whole * WINDOW):
            window = order[begin : begin + whole * WINDOW]
            window.sort(key=lambda i: len(prompts[i][picked[i]]))
            for at in range(0, len(window), whole):
                rows = window[at : at + whole]
                yield size, rows, [picked[i] for i in rows]

    def _balanced(self, number: int) -> tuple[Size, list[int], list[int]]:
        """The same of a balanced batch: one of `WINDOW` of its size whose prompts were sorted together."""
        plan = self._plan
        bucket, turn = plan.locate(number)
        size = list(self.bank.latents)[bucket]
        group, at = divmod(turn, WINDOW)
        generator, count = generator_for(self.seed, 9, bucket, group), WINDOW * self._whole
        at = int(torch.randperm(WINDOW, generator=generator)[at])
        rows, prompts = plan.rows(bucket, group * count, (group + 1) * count), self.bank.prompts[size]
        picked = torch.randint(len(prompts[0]), (count,), generator=generator).tolist()
        pairs = sorted(zip(rows, picked, strict=True), key=lambda pair: len(prompts[pair[0]][pair[1]]))
        mine = pairs[at * self._whole : (at + 1) * self._whole]
        return size, [row for row, _ in mine], [turn for _, turn in mine]

    @cached_property
    def _plan(self) -> BalancedBatches:
        counts = tuple(len(latents) for latents in self.bank.latents.values())
        return BalancedBatches(counts, self._whole, BalanceOptions(self.balance), seed=self.seed)
