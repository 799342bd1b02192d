"""Reads a scene back from its picture, by one small network for all attributes that can be seen.

Convention: images are (b, 3, h, w) in 0..1 of any size; they are scaled to about 128 x 128 pixels, the size
that it learned. `quality` has three values, those of `finish.LEVELS`; `aspect` is read off the canvas.

b batch  h w image  a attributes  v values
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..files import read_safetensors
from ..hub import bundled_weights
from .bundled import ORACLE
from .finish import LEVELS
from .render import INVISIBLE
from .scene import ASPECTS, Scene, aspect_of, world

SIDE = 128  # root of the area that the network sees, in pixels
CELL, STRIDE = 4, 16
WIDTHS = (64, 112, 120)
GRID, NARROW = 8, 28  # rows and columns of the coarse grid, and its channels


@cache
def values() -> dict[str, tuple[str, ...]]:
    """Returns the values of every attribute that the network reads, in the order of its heads."""
    seen = {name: node.values for name, node in world().nodes.items() if name not in INVISIBLE}
    return {k: v for k, v in seen.items() if k != "aspect"} | {
        "quality": tuple(dict.fromkeys(LEVELS.values()))
    }


def visible() -> tuple[str, ...]:
    """Returns the attributes that can be read off a picture."""
    return (*values(), "aspect")


def shown(scene: Scene) -> dict[str, str]:
    """Returns what can be seen of a scene: its visible attributes, the quality as a level."""
    return {k: v for k, v in asdict(scene).items() if k not in INVISIBLE} | {"quality": LEVELS[scene.quality]}


@dataclass(frozen=True)
class Reading:
    """What was read off one picture, and how sure that is: for each attribute, values with probabilities."""

    values: Mapping[str, str]
    probabilities: Mapping[str, Mapping[str, float]]


class Oracle(nn.Module):
    """A convolutional network that ends in a coarse grid, of which one linear map reads all attributes."""

    def __init__(self):
        super().__init__()
        first, second, third = WIDTHS
        self.stem = _conv(3 * CELL * CELL + 2, first)
        self.near = nn.Sequential(
            _Block(first), _conv(first, second, stride=2), _Block(second), _Block(second)
        )
        self.far = nn.Sequential(_conv(second, third, stride=2), _Block(third))
        self.down = nn.Conv2d(third, second, 1)
        self.squeeze = nn.Sequential(
            nn.Conv2d(second, NARROW, 1, bias=False), nn.BatchNorm2d(NARROW), nn.ReLU()
        )
        self.heads = nn.Linear(NARROW * GRID * GRID + third, values_count())

    def forward(self, images: Tensor) -> Tensor:
        """Returns scores (b, a, v) of images (b, 3, h, w); a value that an attribute lacks has -10,000."""
        x = functional.pixel_unshuffle(images * 2 - 1, CELL)
        x = torch.cat((x, _coordinates(x)), 1).contiguous(memory_format=torch.channels_last)
        near = self.near(self.stem(x))
        far = self.far(near)
        both = (near + functional.interpolate(self.down(far), size=near.shape[-2:])).relu()
        grid = functional.adaptive_avg_pool2d(self.squeeze(both), GRID).flatten(1)
        return by_attribute(self.heads(torch.cat((grid, far.mean((2, 3))), 1)))

    def init_weights(self, generator: torch.Generator) -> None:
        """Draws all weights from the generator; every block starts as its way round."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                spread = math.sqrt(2 / module.weight[0].numel())
                module.weight.data.normal_(0, spread, generator=generator)
            elif isinstance(module, _Block):
                module.body[-1].weight.data.zero_()
        self.down.bias.data.zero_()
        self.heads.weight.data.normal_(0, 0.005, generator=generator)
        self.heads.bias.data.zero_()


def by_attribute(scores: Tensor) -> Tensor:
    """Returns scores of all values in a row (b, values) as (b, a, v); a value that an attribute lacks has
    -10,000."""
    lengths = torch.tensor([len(words) for words in values().values()], device=scores.device)
    has = torch.arange(int(lengths.max()), device=scores.device) < lengths[:, None]  # (a, v)
    padded = scores.new_full((len(scores), *has.shape), -1e4, dtype=torch.float32)
    padded[:, has] = scores.float()
    return padded


def values_count() -> int:
    """Returns how many values all attributes have together."""
    return sum(map(len, values().values()))


def numbers(scene: Scene) -> Tensor:
    """Returns the numbers (a,) of the values that can be read off a scene's picture."""
    seen = shown(scene)
    return torch.tensor([words.index(seen[name]) for name, words in values().items()])


class _Block(nn.Module):
    """Two convolutions and a way round them."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.body(x)).relu()


def _conv(width: int, out: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, out, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()
    )


def _coordinates(x: Tensor) -> Tensor:
    """Row and column of every place, from -1 to 1, as two channels more."""
    b, _, h, w = x.shape
    rows = torch.linspace(-1, 1, h, device=x.device, dtype=x.dtype)[None, None, :, None]
    columns = torch.linspace(-1, 1, w, device=x.device, dtype=x.dtype)[None, None, None, :]
    return torch.cat((rows.expand(b, 1, h, w), columns.expand(b, 1, h, w)), 1)


def load_oracle(path: Path | None = None, *, device: str = "cpu") -> Oracle:
    """Returns the network of a safetensors file, the bundled one by default.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file's tensors are not those of this world's oracle.
    """
    path = path or bundled_weights(ORACLE)
    with torch.device("meta"):
        model = Oracle()
    found = read_safetensors(path)
    wanted = {name: t.shape for name, t in model.state_dict().items()}
    if wanted != {name: t.shape for name, t in found.items()}:
        raise ValueError(f"{path} must hold this world's oracle: make it by `presample train tiny-oracle`")
    model.load_state_dict(
        {k: t.float() if t.is_floating_point() else t for k, t in found.items()}, assign=True
    )
    return model.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


@torch.no_grad()
def scores(images: Tensor, *, oracle: Oracle) -> Tensor:
    """Returns the probabilities (b, a, v) of every value; those that an attribute lacks have 0.

    They are the mean of what a picture and its mirror image say: no attribute tells left from right.
    """
    scaled = _scaled(images.float())
    both = [oracle(each) for part in scaled.split(64) for each in (part, part.flip(-1))]
    here, mirrored = (torch.cat(both[k::2]).softmax(-1) for k in (0, 1))
    return (here + mirrored) / 2


def _scaled(images: Tensor) -> Tensor:
    """The images at the size that the network knows, sides in whole strides."""
    height, width = images.shape[-2:]
    ratio = math.sqrt(width / height)
    size = [max(STRIDE, round(side / STRIDE) * STRIDE) for side in (SIDE / ratio, SIDE * ratio)]
    if [height, width] == size:
        return images
    return functional.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)


def read(images: Tensor, *, oracle: Oracle | None = None) -> list[Reading]:
    """Returns what can be read off each image (b, 3, h, w) in 0..1.

    Raises:
        ValueError: the images are not a batch of three channels.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must be (b, 3, h, w) in 0..1, got {tuple(images.shape)}")
    aspect = aspect_of(images.shape[-1] / images.shape[-2])
    return [_reading(row, aspect) for row in scores(images, oracle=oracle or load_oracle()).tolist()]


def _reading(row: Sequence[Sequence[float]], aspect: str) -> Reading:
    pairs = zip(values().items(), row, strict=True)
    chances = {name: dict(zip(words, chance, strict=False)) for (name, words), chance in pairs}
    chances["aspect"] = {shape: float(shape == aspect) for shape in ASPECTS}
    return Reading({name: max(c, key=c.__getitem__) for name, c in chances.items()}, chances)


def accuracy(
    images: Tensor,
    scenes: Sequence[Scene],
    *,
    named: Sequence[Collection[str]] | None = None,
    oracle: Oracle | None = None,
) -> dict[str, tuple[int, int]]:
    """Returns for each attribute how many images (b, 3, h, w) show their scene's value, and of how many.

    With `named` an image counts only for the attributes that its own entry names, such as the keys of
    `prompts.demands`; invisible ones never count.

    Raises:
        ValueError: there are not as many scenes, or entries of `named`, as images.
    """
    if len(images) != len(scenes) or (named is not None and len(named) != len(images)):
        raise ValueError(
            f"every image needs its scene and names, got {len(images)} images, {len(scenes)} scenes"
        )
    found = dict.fromkeys(visible(), (0, 0))
    for i, reading in enumerate(read(images, oracle=oracle)):
        for name, value in shown(scenes[i]).items():
            if named is None or name in named[i]:
                right, count = found[name]
                found[name] = right + (reading.values[name] == value), count + 1
    return found
