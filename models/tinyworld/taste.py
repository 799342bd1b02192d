"""What one may like in the little world's pictures, exactly, and a small network that sees it in pixels.

vivid      how colourful a picture is (Hasler and Suesstrunk's measure)
detailed   how well it is finished, and how many small things are in it
moonlit    night, a moon, stars

Convention: images are (b, 3, H, W) in 0..1, sides multiples of 4. The network scores in standard deviations
of the world's own pictures, from their mean. A file holds two networks that have seen no picture in common:
`reward` to please, and `judge` to see whether pleasing it was more than deceiving it.
Source: Hasler & Suesstrunk 2003, "Measuring colourfulness in natural images"; specification 5.5.

b batch  k kinds of taste  H W image
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..files import read_safetensors
from ..hub import bundled_weights
from .bundled import TASTE
from .finish import LEVELS

KINDS = ("vivid", "detailed", "moonlit")
NETS = ("reward", "judge")
WIDTHS = (24, 48, 64, 64)
FINISHED = {"average": 0.0, "good": 1.0, "excellent": 2.0}
SMALL_THINGS = {"birds": "none", "bloom": "none", "undergrowth": "none", "rocks": "none", "shore": "bare"}


def colourfulness(images: Tensor) -> Tensor:
    """Returns how colourful images (b, 3, H, W) are, (b,), with gradients."""
    red, green, blue = images.unbind(1)
    opponents = torch.stack((red - green, (red + green) / 2 - blue), 1).flatten(2)  # (b, 2, H·W)
    spread = (opponents.var(-1, correction=0).sum(1) + 1e-12).sqrt()
    return spread + 0.3 * (opponents.mean(-1).square().sum(1) + 1e-12).sqrt()


def truth(images: Tensor, values: Sequence[Mapping[str, str]]) -> Tensor:
    """Returns what is there to like in images (b, 3, H, W), (b, k), in units of its own.

    `values` names the attributes that can be seen of each image, of its scene or read by the oracle; its
    quality by level or by word.
    """
    if len(values) != len(images):
        raise ValueError(f"every image needs its attributes, got {len(images)} and {len(values)}")
    read = torch.tensor([[_detailed(v), _moonlit(v)] for v in values], device=images.device)
    return torch.cat((colourfulness(images)[:, None], read.view(-1, 2)), 1)


def _detailed(values: Mapping[str, str]) -> float:
    level = values["quality"]
    there = sum(values[name] != absent for name, absent in SMALL_THINGS.items())
    return FINISHED[LEVELS.get(level, level)] + 0.3 * there


def _moonlit(values: Mapping[str, str]) -> float:
    moon, stars = values["disc"] in ("full moon", "crescent moon"), values["stars"] != "none"
    return 1.0 * (values["time"] == "night") + 1.0 * moon + 0.5 * stars


class TasteNet(nn.Module):
    """Four convolutions, and what is linear in the mean and the spread of what they find."""

    def __init__(self):
        super().__init__()
        sizes = (3, *WIDTHS)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2 if i < 3 else 1, padding=1)
            for i, (a, b) in enumerate(zip(sizes, WIDTHS, strict=False))
        )
        self.heads = nn.Linear(2 * WIDTHS[-1], len(KINDS))

    def forward(self, images: Tensor) -> Tensor:
        """Returns scores (b, k) of images (b, 3, H, W)."""
        x = images * 4 - 2
        for layer in self.layers:
            x = nn.functional.silu(layer(x))
        x = x.flatten(2).float()
        spread = (x.var(-1, correction=0) + 1e-6).sqrt()
        return self.heads(torch.cat((x.mean(-1), spread), 1)).float()


class Taste(nn.Module):
    """Two networks, and the mean and the spread of the truth over the world's pictures."""

    def __init__(self):
        super().__init__()
        self.nets = nn.ModuleDict({name: TasteNet() for name in NETS})
        self.register_buffer("mean", torch.zeros(len(KINDS)))
        self.register_buffer("std", torch.ones(len(KINDS)))

    def forward(self, images: Tensor) -> Tensor:
        """Returns scores (b, k) of images (b, 3, H, W); for training each net sees its own half of them."""
        halves = images.split((len(images) + 1) // 2)
        return torch.cat([self.nets[name](half) for name, half in zip(NETS, halves, strict=False)])

    def scores(self, images: Tensor, *, net: str = "reward") -> Tensor:
        """Returns the scores (b, k) of one net, with gradients."""
        return self.nets[net](images.clamp(0, 1))

    def standard(self, true: Tensor) -> Tensor:
        """Returns what `truth` gave (b, k) in the units of the scores."""
        return (true - self.mean) / self.std


def load_taste(path: Path | None = None, *, device: str = "cpu") -> Taste:
    """Returns the networks of a safetensors file, the bundled ones by default, in float32 without gradients.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file's tensors are not those of this world's taste.
    """
    path = path or bundled_weights(TASTE)
    with torch.device("meta"):
        model = Taste()
    found = {name: tensor.float() for name, tensor in read_safetensors(path).items()}
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if wanted != {name: tensor.shape for name, tensor in found.items()}:
        raise ValueError(f"{path} must hold this world's taste: make it by `presample train tiny-reward`")
    model.load_state_dict(found, assign=True)
    return model.to(device).eval().requires_grad_(False)
