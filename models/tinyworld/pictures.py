"""A stream of painted scenes with their prompts: the same for every reader, from any place on, on any worker.

Convention: picture `i` of a stream depends on the stream's seed and i alone. Pictures are uint8 in files and
in batches, (n, 3, h, w), values 0..255; `paint` itself gives float32 in 0..1.

n pictures of one size  h w image
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

import torch

from ..files import read_safetensors, written
from .prompts import Prompt, prompt_of
from .render import paint
from .scene import Scene, sample_many, world

# For each shape of canvas a size of about 128 x 128 pixels, in multiples of 16: width, height.
SIZES = {
    "tall": (96, 160),
    "portrait": (112, 144),
    "square": (128, 128),
    "landscape": (144, 112),
    "wide": (160, 96),
}
CHUNK = 1024  # scenes drawn together
HELD_OUT = 10**6  # added to a seed: a stream that no training sees
VERSION = 1  # another one whenever a seed gives other scenes, prompts or pictures: what was kept is made anew


@dataclass(frozen=True)
class Draw:
    """One picture that may be painted: `paint` takes its fields."""

    scene: Scene
    width: int
    height: int
    seed: int


def draws(seed: int, count: int, *, start: int = 0, square: bool = False) -> list[Draw]:
    """Returns pictures `start` to `start + count` of a stream, each in its scene's shape, or all square."""
    found: list[Draw] = []
    for chunk in range(start // CHUNK, -(-(start + count) // CHUNK)):
        scenes = sample_many(generator_of(seed, chunk), CHUNK)
        low, high = max(start - chunk * CHUNK, 0), min(start + count - chunk * CHUNK, CHUNK)
        for i in range(low, high):
            size = SIZES["square" if square else scenes[i].aspect]
            found.append(Draw(scenes[i], *size, seed=seed * 2**32 + chunk * CHUNK + i))
    return found


def picture(draw: Draw) -> torch.Tensor:
    """Returns the picture (3, h, w) of a draw, uint8."""
    pixels = paint(draw.scene, width=draw.width, height=draw.height, seed=draw.seed)
    return (pixels * 255).round().to(torch.uint8)


def images_of(these: Sequence[Draw]) -> torch.Tensor:
    """Returns the pictures (n, 3, h, w) of draws of one size, float32 in 0..1."""
    return torch.stack([picture(draw) for draw in these]).float() / 255


def prompt(draw: Draw, *, number: int = 0) -> Prompt:
    """Returns prompt `number` of a draw: what one may write for its scene."""
    return prompt_of(draw.scene, generator_of(draw.seed, number))


def render_many(these: Sequence[Draw], *, workers: int = 0) -> Iterator[torch.Tensor]:
    """Yields the pictures of the draws in their order, uint8 (3, h, w), painted by `workers` processes."""
    return iter(torch.utils.data.DataLoader(_Painted(these), batch_size=None, num_workers=workers))


@dataclass(frozen=True)
class _Painted(torch.utils.data.Dataset):
    draws: Sequence[Draw]

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, i: int) -> torch.Tensor:
        return picture(self.draws[i])


@dataclass(frozen=True)
class Shard:
    """Painted pictures of one size, their scenes as numbers of values, and their seeds."""

    pixels: torch.Tensor  # (n, 3, h, w) uint8
    labels: torch.Tensor  # (n, attributes) uint8, in the order of the scene's fields
    seeds: torch.Tensor  # (n,) int64

    def draw(self, i: int) -> Draw:
        """Returns what picture i was painted from."""
        height, width = self.pixels.shape[-2:]
        return Draw(scene_of(self.labels[i]), width, height, int(self.seeds[i]))


def painted(these: Sequence[Draw], *, workers: int = 0) -> dict[tuple[int, int], Shard]:
    """Returns the pictures of the draws, of any sizes, by their size: width, height."""
    pictures = list(render_many(these, workers=workers))
    found = {}
    for size in sorted({(d.width, d.height) for d in these}):
        here = [i for i, d in enumerate(these) if (d.width, d.height) == size]
        found[size] = Shard(
            torch.stack([pictures[i] for i in here]),
            torch.stack([labels_of(these[i].scene) for i in here]),
            torch.tensor([these[i].seed for i in here]),
        )
    return found


def write_shards(path: Path, shards: Mapping[tuple[int, int], Shard]) -> None:
    """Writes pictures of several sizes into one safetensors file."""
    from safetensors.torch import save_file

    parts = {f"{width}x{height}": shard for (width, height), shard in shards.items()}
    save_file({f"{name}.{part}": t for name, shard in parts.items() for part, t in vars(shard).items()}, path)


def read_shards(path: Path) -> dict[tuple[int, int], Shard]:
    """Returns the pictures of a file by their size: width, height.

    Raises:
        ValueError: the file's scenes were written by another version of the world.
    """
    tensors = read_safetensors(path)
    found = {}
    for name in sorted({key.partition(".")[0] for key in tensors}):
        width, height = map(int, name.split("x"))
        shard = Shard(*(tensors[f"{name}.{part}"] for part in ("pixels", "labels", "seeds")))
        if shard.labels.shape[1] != len(_values()):
            raise ValueError(f"{path} must hold scenes of {len(_values())} attributes: paint it again")
        found[width, height] = shard
    return found


def cached(folder: Path, seed: int, count: int, *, workers: int = 0) -> list[Shard]:
    """Returns the first `count` pictures of a stream, rounded up to whole chunks, from files of the folder.

    What is missing is painted first; an interruption leaves whole files.
    """
    parts = (cached_chunk(folder, seed, number, workers=workers) for number in range(chunks(count)))
    return [shard for part in parts for shard in part.values()]


def cached_chunk(folder: Path, seed: int, number: int, *, workers: int = 0) -> dict[tuple[int, int], Shard]:
    """Returns chunk `number` of a stream by size, from its file; paints it first where that is missing."""
    return kept(
        folder / f"pictures-v{VERSION}-{seed}-{number}.safetensors",
        lambda: painted(draws(seed, CHUNK, start=number * CHUNK), workers=workers),
    )


def chunks(count: int) -> int:
    """Returns how many chunks hold `count` pictures."""
    return -(-count // CHUNK)


def kept(path: Path, make: Callable[[], Mapping[tuple[int, int], Shard]]) -> dict[tuple[int, int], Shard]:
    """Returns the pictures of a file by size; makes it first where it is missing."""
    if not path.exists():
        with written(path) as half:
            write_shards(half, make())
    return read_shards(path)


@cache
def _values() -> dict[str, tuple[str, ...]]:
    return {name: node.values for name, node in world().nodes.items()}


def labels_of(scene: Scene) -> torch.Tensor:
    """Returns the numbers (attributes,) of a scene's values, uint8."""
    pairs = zip(_values().values(), astuple(scene), strict=True)
    return torch.tensor([values.index(value) for values, value in pairs], dtype=torch.uint8)


def scene_of(labels: torch.Tensor) -> Scene:
    """Returns the scene whose values have these numbers (attributes,)."""
    pairs = zip(_values().items(), labels.tolist(), strict=True)
    return Scene(**{name: values[number] for (name, values), number in pairs})


def generator_of(seed: int, number: int) -> torch.Generator:
    """Returns the generator of number `number` of a stream."""
    mixed = (seed * 6364136223846793005 + number * 1442695040888963407 + 2891336453) % 2**63
    return torch.Generator().manual_seed(mixed)
