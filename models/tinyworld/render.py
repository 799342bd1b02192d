"""Paints a scene of the little world as a picture, at any size and ratio of its sides, decided by a seed.

Convention: pictures are float32 (3, h, w) in 0..1. Positions are fractions of the width and the height,
sizes are fractions of `Canvas.u`, so that one scene is the same composition on every canvas.
Every attribute but those in `INVISIBLE` has a sign of its own in the picture.

h height  w width
"""

from __future__ import annotations

import numpy as np
import torch

from . import creatures, finish, land, plants, sky, works
from .brush import Canvas, blur, rgb
from .light import Stage, light_of, plan_of
from .scene import Scene

SMALLEST = 16  # pixels of a side
INVISIBLE = {
    "resolution": "it says how many pixels the original had, which is decided outside of the picture",
}


def paint(scene: Scene, *, width: int, height: int, seed: int) -> torch.Tensor:
    """Returns the picture (3, height, width) of a scene in 0..1, float32.

    The seed chooses what the scene leaves open: places, shapes, small turns of hue. Equal arguments give
    equal pictures. A scene's `quality` shows in three levels (`finish.LEVELS`).

    Raises:
        ValueError: a side is below 16 pixels, or the seed is negative.
    """
    canvas = _canvas(width, height, seed)
    stage = Stage(canvas, scene, light_of(scene), plan_of(scene, canvas, seed))
    _paint_far(stage)
    _paint_near(stage)
    rng = stage.plan.rng("finish")
    canvas.pixels = np.clip(canvas.pixels, 0, 1)
    canvas.pixels = finish.grade(canvas.pixels, scene.palette)
    canvas.pixels = finish.finish(canvas, scene.finish, rng)
    pixels = finish.degrade(canvas.pixels, finish.LEVELS[scene.quality], canvas.u, rng)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32))


def paint_solid(color: str, *, width: int, height: int) -> torch.Tensor:
    """Returns a picture (3, height, width) of one colour: `black`, `white` or six hexadecimal digits.

    Raises:
        ValueError: a side is below 16 pixels, or the colour is none of these.
    """
    text = {"black": "000000", "white": "ffffff"}.get(color, color)
    if len(text) != 6 or set(text.lower()) - set("0123456789abcdef"):
        raise ValueError(f"color must be black, white or six hexadecimal digits, got {color!r}")
    pixels = _canvas(width, height, 0).pixels + rgb(text)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _canvas(width: int, height: int, seed: int) -> Canvas:
    if width < SMALLEST or height < SMALLEST:
        raise ValueError(f"sides must be at least {SMALLEST} pixels, got {width}x{height}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    return Canvas(width, height)


def _paint_far(stage: Stage) -> None:
    """Paints all that lies behind the subject."""
    canvas, scene = stage.canvas, stage.scene
    sky.paint_sky(stage)
    land.paint_relief(stage)
    land.paint_backdrop(stage)
    land.paint_ground(stage)
    plants.paint_bloom(stage)
    land.paint_path(stage)
    plants.paint_wood(stage)
    if scene.structure != "bridge":
        works.paint_structure(stage)
    land.paint_water(stage)
    if scene.structure == "bridge":
        works.paint_structure(stage)
    if scene.stand == "few":
        plants.paint_trees(stage)
    if scene.layout == "symmetrical":
        half = canvas.width // 2
        canvas.pixels[:, canvas.width - half :] = canvas.pixels[:, :half][:, ::-1]
        works.paint_posts(stage)
    if scene.stand == "lone":
        plants.paint_trees(stage)
    if scene.effect == "depth of field":
        canvas.pixels = blur(canvas.pixels, canvas.u * 0.0095)
    finish.paint_mist(stage)
    sky.paint_flight(stage)


def _paint_near(stage: Stage) -> None:
    """Paints the subject, what is near it, and what lies over the whole picture."""
    plants.paint_shore(stage)
    works.paint_boat(stage)
    works.paint_fixture(stage)
    plants.paint_rocks(stage)
    plants.paint_undergrowth(stage)
    creatures.paint_figure(stage)
    creatures.paint_animal(stage)
    plants.paint_fringe(stage)
    plants.paint_flowers(stage)
    finish.paint_fall(stage)
    if stage.scene.layout == "framed":
        plants.paint_frame(stage)
    finish.paint_effect(stage)
