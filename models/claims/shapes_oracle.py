"""Reads ColourShapes back from pixels, by rules: nothing is learned, so truth needs no model.

The ground is the median of the frame, the ink the most saturated pixels; a pixel's cover is where it lies
between the two. Area and centre of the cover say size and place, and the shape is the one whose own cover,
drawn there, is nearest. Source: spec 5.1.

b batch  H, W pixels  k features
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..seeds import generator_for
from .shapes import COLOURS, GREYS, SIZES, Scenes, cover

INKED = 5  # the most saturated pixels, whose mean is the ink
SEEN = 0.35  # cover from which a pixel belongs to a shape
LEAST = 4.0  # pixels that make one more shape
FEATURES, SEED = 64, 0


class Reading(NamedTuple):
    """What pictures (b) show. `ground` is the grey of the frame, `count` how many shapes there are."""

    shape: Tensor
    colour: Tensor
    background: Tensor
    quadrant: Tensor
    size: Tensor
    brightness: Tensor
    x: Tensor
    y: Tensor
    ground: Tensor
    count: Tensor

    def attributes(self) -> Tensor:
        """Returns the indices (b, 4) in the order of ATTRIBUTES."""
        return torch.stack(self[:4], 1)

    def features(self) -> Tensor:
        """Returns all of it as numbers (b, 20) of comparable size, for Fréchet distances."""
        kinds = [F.one_hot(column, size) for column, size in zip(self[:2], SIZES[:2], strict=True)]
        numbers = (4 * self.size, 2 * self.brightness, 2 * self.x, 2 * self.y, self.ground, self.count / 2)
        place = F.one_hot(self.quadrant, SIZES[3])[:, :3]
        return torch.cat((*kinds, place, torch.stack(numbers, 1)), 1).double()


@torch.no_grad()
def read(images: Tensor) -> Reading:
    """Returns what is seen on pictures (b, 3, H, W) in -1..1."""
    images = images.detach().float().cpu().clamp(-1, 1)
    height, width = images.shape[2:]
    frame = torch.cat((images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]), 2)
    ground = frame.median(2).values  # (b, 3)
    alpha, ink = _cover(images, ground)
    area = alpha.sum((1, 2)).clamp_min(1)
    x, y = _centre(alpha, area)
    size = (area / min(width, height) ** 2).sqrt()
    grey = ground.mean(1)
    palette, light = torch.tensor(COLOURS), (ink + 1) / 2
    peak = light.amax(1)
    colour = _nearest(light / peak.clamp_min(1e-3)[:, None], palette / palette.amax(1, keepdim=True))
    return Reading(
        shape=_shape(alpha, size, x, y),
        colour=colour,
        background=(grey[:, None] - torch.tensor(GREYS)).abs().argmin(1),
        quadrant=(y > 0.5).long() * 2 + (x > 0.5).long(),
        size=size,
        brightness=peak / palette.amax(1)[colour],
        x=x,
        y=y,
        ground=grey,
        count=components(alpha),
    )


def _cover(images: Tensor, ground: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel lies from ground to ink (b, H, W), 0 far from what is mostly ink; the ink (b, 3)."""
    saturation = (images.amax(1) - images.amin(1)).flatten(1)
    top = saturation.topk(INKED, 1).indices[:, None].expand(-1, 3, -1)
    ink = images.flatten(2).gather(2, top).mean(2)
    way = ink - ground
    along = ((images - ground[:, :, None, None]) * way[:, :, None, None]).sum(1)
    alpha = along / way.square().sum(1).clamp_min(1e-4)[:, None, None]
    near = F.max_pool2d((alpha > 0.5).float()[:, None], 5, 1, 2)[:, 0]
    # Noise inside averages out, for it may fall below 0; noise elsewhere would add up.
    return alpha.clamp(-1, 1) * near, ink


def _centre(alpha: Tensor, area: Tensor) -> tuple[Tensor, Tensor]:
    height, width = alpha.shape[1:]
    across = (torch.arange(width) + 0.5) / width
    down = (torch.arange(height) + 0.5) / height
    return tuple(part.sum(1).div(area).clamp(0, 1) for part in (alpha.sum(1) * across, alpha.sum(2) * down))


def _shape(alpha: Tensor, size: Tensor, x: Tensor, y: Tensor) -> Tensor:
    height, width = alpha.shape[1:]
    misses = []
    for shape in range(SIZES[0]):
        kind = torch.full((len(alpha),), shape)
        drawn = cover(kind, size, x, y, width=width, height=height)
        misses.append((drawn - alpha).square().sum((1, 2)))
    return torch.stack(misses, 1).argmin(1)


def _nearest(values: Tensor, palette: Tensor) -> Tensor:
    return torch.cdist(values, palette).argmin(1)


def components(alpha: Tensor) -> Tensor:
    """Returns how many shapes of 4 pixels and more stand apart from each other in covers (b, H, W)."""
    seen = alpha > SEEN
    count, height, width = alpha.shape
    label = torch.arange(1, height * width + 1).view(1, height, width) * seen
    for _ in range(height * width):
        spread = F.max_pool2d(label[:, None].float(), 3, 1, 1)[:, 0].long() * seen
        if torch.equal(spread, label):
            break
        label = spread
    area = torch.zeros(count, height * width + 1).scatter_add_(1, label.flatten(1), alpha.flatten(1))
    return (area[:, 1:] >= LEAST).sum(1)


def accuracy(reading: Reading, scenes: Scenes | Tensor, named: Tensor | None = None) -> float:
    """Returns the share of attributes that a picture has as its scene, or attributes (b, 4), say.

    `named` (b, 4) leaves out those that its caption does not name.
    """
    wanted = scenes if isinstance(scenes, Tensor) else scenes.attributes()
    right = (reading.attributes() == wanted).float()
    named = torch.ones_like(right) if named is None else named.float()
    return float((right * named).sum() / named.sum())


class RandomNet(nn.Module):
    """A fixed network of random convolutions: features (b, 64) that no rule of ours has chosen."""

    def __init__(self):
        super().__init__()
        generator, widths = generator_for(SEED), (3, 16, 32, FEATURES)
        self.filters = nn.ParameterList(
            nn.Parameter(
                torch.randn(after, before, 3, 3, generator=generator) * (2 / (9 * before)) ** 0.5,
                requires_grad=False,
            )
            for before, after in pairwise(widths)
        )

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        x = images.detach().float().cpu()
        for number, weight in enumerate(self.filters):
            x = F.leaky_relu(F.conv2d(x, weight, stride=1 + (number > 0), padding=1), 0.2)
        return x.mean((2, 3)).double()
