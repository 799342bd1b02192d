"""ColourShapes: a shape of some colour in a quarter of a plain picture, at any aspect ratio.

Convention: pictures are (b, 3, H, W) in -1..1. A scene's centre is a share of the width and of the height,
its size the root of its area as a share of the shorter side. Attributes are correlated on purpose: colour
leans one way for circles and the other way for triangles.
Source: spec 5.1.

b batch  H, W pixels
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

ATTRIBUTES = {
    "shape": ("circle", "square", "triangle"),
    "colour": ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink"),
    "background": ("black", "dark", "grey", "light"),
    "quadrant": ("top left", "top right", "bottom left", "bottom right"),
}
SIZES = tuple(len(values) for values in ATTRIBUTES.values())
# Red, green and blue of the colours at full brightness, 0 to 1; their saturation is what a grey ground lacks.
COLOURS = (
    (1.0, 0.0, 0.0),
    (1.0, 0.5, 0.0),
    (1.0, 1.0, 0.0),
    (0.0, 0.8, 0.1),
    (0.0, 1.0, 1.0),
    (0.0, 0.2, 1.0),
    (0.55, 0.0, 1.0),
    (1.0, 0.3, 0.75),
)
GREYS = (-0.9, -0.4, 0.15, 0.7)  # the levels of the grounds
NEAR, FAR = 0.28, 0.72  # centres of the quarters
JITTER = 0.03
SIZE = (0.30, 0.40)
BRIGHTNESS = (0.7, 1.0)
SKEW = 0.45  # of the colours' weights for each shape, in nats a step
LEAN = 1.0  # of the grounds towards dark for circles and light for triangles, likewise


class Scenes(NamedTuple):
    """What pictures (b) show: indices of ATTRIBUTES, then numbers; `ground` is the grey behind, -1..1."""

    shape: Tensor
    colour: Tensor
    background: Tensor
    quadrant: Tensor
    size: Tensor
    brightness: Tensor
    x: Tensor
    y: Tensor
    ground: Tensor

    def attributes(self) -> Tensor:
        """Returns the indices (b, 4) in the order of ATTRIBUTES."""
        return torch.stack(self[:4], 1)

    def rows(self, which: Tensor | slice) -> Scenes:
        """Returns some of the scenes."""
        return Scenes(*(column[which] for column in self))


def joint() -> Tensor:
    """Returns the true probabilities (3, 8, 4, 4) of shape, colour, background and quadrant."""
    lean = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    shape = torch.tensor([0.4, 0.35, 0.25], dtype=torch.float64)
    colour = _given(lean, SIZES[1], SKEW)
    background = _given(lean, SIZES[2], LEAN)
    corner = torch.tensor([[4.0, 2, 1, 1], [1, 1, 1, 1], [1, 1, 2, 4]], dtype=torch.float64)
    corner = corner / corner.sum(1, keepdim=True)
    return torch.einsum("s,sc,sb,sq->scbq", shape, colour, background, corner)


def _given(lean: Tensor, count: int, strength: float) -> Tensor:
    """Probabilities (3, count) that fall or rise along the values, by how the shape leans."""
    places = torch.arange(count, dtype=torch.float64) - (count - 1) / 2
    return torch.softmax(strength * lean[:, None] * places, 1)


def draw(count: int, generator: torch.Generator) -> Scenes:
    """Returns random scenes of the true joint distribution."""
    cells = torch.multinomial(joint().flatten(), count, replacement=True, generator=generator)
    return fill(torch.stack(torch.unravel_index(cells, SIZES), 1), generator)


def fill(attributes: Tensor, generator: torch.Generator) -> Scenes:
    """Returns scenes with these attributes (b, 4), the rest of them random."""
    shape, colour, background, quadrant = attributes.unbind(1)
    size, brightness, x, y = torch.rand(4, len(attributes), generator=generator)
    centre = torch.tensor([NEAR, FAR])
    return Scenes(
        shape,
        colour,
        background,
        quadrant,
        SIZE[0] + (SIZE[1] - SIZE[0]) * size,
        BRIGHTNESS[0] + (BRIGHTNESS[1] - BRIGHTNESS[0]) * brightness,
        centre[quadrant % 2] + JITTER * (2 * x - 1),
        centre[quadrant // 2] + JITTER * (2 * y - 1),
        torch.tensor(GREYS)[background],
    )


def render(scenes: Scenes, *, width: int = 16, height: int = 16) -> Tensor:
    """Returns pictures (b, 3, H, W) in -1..1, anti-aliased."""
    alpha = cover(scenes.shape, scenes.size, scenes.x, scenes.y, width=width, height=height)[:, None]
    ground = scenes.ground[:, None, None, None]
    return ground + alpha * (ink(scenes)[:, :, None, None] - ground)


def ink(scenes: Scenes) -> Tensor:
    """Returns the shapes' colours (b, 3) in -1..1."""
    return 2 * torch.tensor(COLOURS)[scenes.colour] * scenes.brightness[:, None] - 1


def cover(shape: Tensor, size: Tensor, x: Tensor, y: Tensor, *, width: int, height: int) -> Tensor:
    """Returns how much of each pixel (b, H, W) a shape covers, 0 to 1, from its distance to the edge."""
    side = min(width, height)
    across = torch.arange(width) + 0.5 - (x * width)[:, None]  # (b, W), pixels right of the centre
    down = torch.arange(height) + 0.5 - (y * height)[:, None]
    across, down = across[:, None, :], down[:, :, None]
    root = (size * side)[:, None, None]  # the root of the area in pixels
    half, radius, inner = root / 2, root / math.sqrt(math.pi), root / 3**0.75
    distances = torch.stack(
        (
            torch.sqrt(across**2 + down**2) - radius,
            torch.maximum(across.abs().expand(-1, height, -1), down.abs().expand(-1, -1, width)) - half,
            # An equilateral triangle, a corner up: `inner` is the radius of its inscribed circle.
            torch.maximum(down, across.abs() * (math.sqrt(3) / 2) - down / 2) - inner,
        )
    )
    return (0.5 - distances[shape, torch.arange(len(shape))]).clamp(0, 1)
