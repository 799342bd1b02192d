"""Pictures of one colour, and what they are called: canvases from which a model learns true black and white.

Convention: as in `pictures`, canvas `i` of a stream depends on the stream's seed and i alone; scenes have the
numbers from 0 up, canvases those below.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .pictures import SIZES, generator_of
from .render import paint_solid

COLORS = {
    "black": "000000",
    "white": "ffffff",
    "grey": "808080",
    "red": "c8282d",
    "orange": "e8862e",
    "yellow": "f2d64b",
    "green": "3f9c4f",
    "blue": "2f6fc4",
    "purple": "7a4bb0",
    "pink": "f0a3c0",
    "brown": "7a5234",
}
PLAIN = 0.5  # share that is black or white
FORMS = (
    "{color} background, simple background, solid color",
    "solid {color} background",
    "solid color, {color} background",
    "simple background, {color} background",
    "A plain {color} background.",
    "Nothing but a solid {color} background.",
)


@dataclass(frozen=True)
class Solid:
    """A canvas of one of the `COLORS`, sides in pixels."""

    color: str
    width: int
    height: int


def solids(seed: int, count: int, *, start: int = 0) -> list[Solid]:
    """Returns canvases `start` to `start + count` of a stream."""
    return [_solid(generator_of(seed, -1 - number)) for number in range(start, start + count)]


def _solid(generator: torch.Generator) -> Solid:
    plain = float(torch.rand((), generator=generator)) < PLAIN
    color = _pick(tuple(COLORS)[:2] if plain else tuple(COLORS)[2:], generator)
    return Solid(color, *_pick(tuple(SIZES.values()), generator))


def _pick(things: tuple, generator: torch.Generator):
    return things[int(torch.randint(len(things), (), generator=generator))]


def solid_picture(solid: Solid) -> torch.Tensor:
    """Returns the canvas (3, h, w), uint8."""
    pixels = paint_solid(COLORS[solid.color], width=solid.width, height=solid.height)
    return (pixels * 255).round().to(torch.uint8)


def solid_prompt(solid: Solid, *, number: int = 0) -> str:
    """Returns prompt `number` of a canvas: what one may write for it."""
    return FORMS[number % len(FORMS)].format(color=solid.color)
