"""The little world as training data: latents of painted scenes, and the tokens of what may be said of them.

Convention: the pictures are those of `tinyworld.pictures` and, with every `CHUNK` of them, a few canvases of
one colour; painting is done once, in a file for each chunk, and goes on where it stopped. Pictures have the
shapes of their scenes: all of about 256 latent cells. Sizes are (width, height) in latent cells. Prompts are
kept as tokens and encoded on use, since states are 100 times as big. What a picture shows is kept as numbers
of values, in the order of the oracle's attributes.

n pictures of a size  p prompts of each  a attributes  b batch  h w latent
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ...files import check_same, read_safetensors, write_json, written
from ...latents import STRIDE
from ...tinyworld import oracle
from ...tinyworld.following import visible_demands
from ...tinyworld.pictures import VERSION, Draw, draws, prompt
from ...tinyworld.solids import solid_picture, solid_prompt, solids
from ...trainer.fit import Place

CHUNK = 256
NOTHING = 255  # the number of an attribute's value on a canvas, which shows none
Size = tuple[int, int]
Paint = Callable[[Draw], Tensor]  # -> image (3, H, W), uint8
Encode = Callable[[Tensor], Tensor]  # images (b, 3, H, W) in 0..1 -> latents (b, 16, h, w)
Tokens = Callable[[str], list[int]]


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
    """For each size `latents16x16` (n, 16, h, w), `shown` (n, a) and `asked` (n, p, a), and all tokens of its
    prompts: those of prompt k of picture i begin at `starts[i * prompts + k]`."""
    found: dict[str, Tensor] = {}
    made = _scenes(index, how, tools) + _canvases(index, how, tools)
    for width, height in sorted({each.size for each in made}):
        here = [each for each in made if each.size == (width, height)]
        name = f"{width}x{height}"
        images = torch.stack([each.image for each in here]).float() / 255
        found[f"latents{name}"] = tools.encode(images).half().contiguous()
        found[f"shown{name}"] = torch.stack([each.shown for each in here])
        found[f"asked{name}"] = torch.stack([each.asked for each in here])
        rows = [ids for each in here for ids in each.prompts]
        found[f"ids{name}"] = torch.tensor(list(itertools.chain(*rows)), dtype=torch.int32)
        found[f"starts{name}"] = torch.tensor([0, *itertools.accumulate(map(len, rows))], dtype=torch.int32)
    return found


class _Made(NamedTuple):
    """A picture (3, H, W), uint8, the tokens of its prompts, the values that it shows (a,), uint8, and of
    which attributes each prompt's tags demand one (p, a)."""

    image: Tensor
    prompts: list[list[int]]
    shown: Tensor
    asked: Tensor

    @property
    def size(self) -> Size:
        height, width = self.image.shape[-2:]
        return width // STRIDE, height // STRIDE


def _scenes(index: int, how: Painting, tools: Tools) -> list[_Made]:
    return [_scene(draw, how, tools) for draw in draws(how.seed, CHUNK, start=index * CHUNK)]


def _scene(draw: Draw, how: Painting, tools: Tools) -> _Made:
    said = [prompt(draw, number=k) for k in range(how.prompts)]
    demanded = [visible_demands(each.tags) for each in said]
    return _Made(
        tools.paint(draw),
        _ids([each.text for each in said], how, tools),
        oracle.numbers(draw.scene).to(torch.uint8),
        torch.tensor([[name in names for name in oracle.values()] for names in demanded]),
    )


def _canvases(index: int, how: Painting, tools: Tools) -> list[_Made]:
    count = len(oracle.values())
    return [
        _Made(
            solid_picture(solid),
            _ids([solid_prompt(solid, number=k) for k in range(how.prompts)], how, tools),
            torch.full((count,), NOTHING, dtype=torch.uint8),
            torch.zeros(how.prompts, count, dtype=torch.bool),
        )
        for solid in solids(how.seed, how.solids, start=index * how.solids)
    ]


def _ids(prompts: Sequence[str], how: Painting, tools: Tools) -> list[list[int]]:
    """The tokens of prompts; a longer one loses its end, but keeps the token that ends it."""
    found = map(tools.tokens, prompts)
    return [ids if len(ids) <= how.text_len else [*ids[: how.text_len - 1], ids[-1]] for ids in found]


@dataclass(frozen=True)
class Bank:
    """The painted pictures in memory, by their size: latents (n, 16, h, w), n lists of prompts' tokens, what
    the pictures show (n, a) and what the prompts demand (n, p, a)."""

    latents: dict[Size, Tensor]
    prompts: dict[Size, list[list[Tensor]]]
    shown: dict[Size, Tensor]
    asked: dict[Size, Tensor]

    @classmethod
    def read(cls, folder: Path, how: Painting) -> Bank:
        """Returns what `paint_all` has made."""
        found: dict[Size, list[_Part]] = {}
        for size, part in itertools.chain.from_iterable(
            _read(_file(folder, i), how.prompts) for i in range(-(-how.pictures // CHUNK))
        ):
            found.setdefault(size, []).append(part)

        def joined(name: str) -> dict[Size, Tensor]:
            return {size: torch.cat([getattr(part, name) for part in found[size]]) for size in sorted(found)}

        prompts = {s: list(itertools.chain(*(part.prompts for part in found[s]))) for s in sorted(found)}
        return cls(joined("latents"), prompts, joined("shown"), joined("asked"))


class _Part(NamedTuple):
    """What a file has of one size."""

    latents: Tensor
    prompts: list[list[Tensor]]
    shown: Tensor
    asked: Tensor


def _read(path: Path, count: int) -> Iterator[tuple[Size, _Part]]:
    tensors = read_safetensors(path)
    for name in [n.removeprefix("latents") for n in tensors if n.startswith("latents")]:
        width, height = map(int, name.split("x"))
        starts = tensors[f"starts{name}"].tolist()
        rows = [tensors[f"ids{name}"][a:b] for a, b in itertools.pairwise(starts)]
        prompts = [rows[i : i + count] for i in range(0, len(rows), count)]
        latents, shown, asked = (tensors[f"{kind}{name}"] for kind in ("latents", "shown", "asked"))
        yield (width, height), _Part(latents, prompts, shown, asked)
