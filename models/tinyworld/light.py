"""The light of a scene by hour, weather and season, and where things go in the picture.

Convention: distances in the ground are depths from 0 at the horizon to 1 at the lower edge of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .brush import Array, Canvas, mix, rgb
from .scene import Scene

SKIES = {
    ("dawn", "blue"): ("79b0e0", "b9d9ee", "fff3d0"),
    ("dawn", "grey"): ("aca9bc", "d4cbd2", "ffe9c6"),
    ("dawn", "orange"): ("f2a878", "fccf98", "fff2cc"),
    ("dawn", "pink"): ("ea9cc0", "f8c8d6", "fff0dc"),
    ("dawn", "purple"): ("a98fd6", "d6bfe8", "fff0dc"),
    ("day", "blue"): ("2f86dd", "72b8f2", "cdebfa"),
    ("day", "grey"): ("848f9c", "aab4bd", "d3d9dd"),
    ("sunset", "grey"): ("4f5463", "837b80", "e09a5e"),
    ("sunset", "orange"): ("cf5420", "f58434", "ffcb52"),
    ("sunset", "pink"): ("ac3a7e", "ee6c96", "ffb46c"),
    ("sunset", "purple"): ("46287e", "8a459c", "f58a5e"),
    ("night", "blue"): ("0b2160", "1b4290", "4474b8"),
    ("night", "purple"): ("2b1156", "4f2a86", "8a5aae"),
    ("night", "black"): ("04050c", "0a0d18", "232a3c"),
}
TINTS = {"dawn": "ffe6d8", "day": "ffffff", "sunset": "eabb98", "night": "56689c"}
NEAR = {"dawn": "fff2e8", "day": "ffffff", "sunset": "f6dcc6", "night": "a2aed6"}
DULL = {"clear": 1.0, "cloudy": 0.95, "overcast": 0.8, "rain": 0.76, "snow": 0.9, "fog": 0.9}
HORIZON = {"wide": 0.5, "very wide": 0.39, "above": 0.27, "below": 0.71, "close": 0.56}
SCALE = {"wide": 1.0, "very wide": 0.82, "above": 0.9, "below": 1.05, "close": 1.38}
NAMES = ("sky", "land", "water", "works", "plants", "things", "people", "air", "place", "finish")


@dataclass(frozen=True)
class Light:
    """Colours of the sky from top to horizon, of haze, and what lands and things are multiplied by."""

    sky: tuple[Array, Array, Array]
    haze: Array
    land: Array
    near: Array
    night: bool

    def far(self, color: Array, share: float) -> Array:
        """Returns a colour of the land, `share` of the way gone into haze."""
        return mix(color * self.land, self.haze, share)

    def pair(self, color: Array, *, depth: float = 0.28) -> tuple[Array, Array]:
        """Returns the lit and the shaded side of a thing near by."""
        lit = color * self.near
        return mix(lit, np.ones(3, np.float32), 0.06), lit * np.float32(1 - depth)

    def mid(self, color: Array, *, depth: float = 0.25) -> tuple[Array, Array]:
        """Returns the lit and the shaded side of a thing farther away."""
        lit = color * (self.land + self.near) / 2
        lit = mix(lit, self.haze, 0.1)
        return mix(lit, np.ones(3, np.float32), 0.05), lit * np.float32(1 - depth)


def light_of(scene: Scene) -> Light:
    """Returns the light of a scene; an hour and a sky that do not occur together take the day's greys."""
    names = SKIES.get((scene.time, scene.sky), SKIES["day", "grey"])
    dull = DULL[scene.weather]
    sky = tuple(rgb(name) * np.float32(0.4 + 0.6 * dull) for name in names)
    if scene.weather == "fog":
        white = rgb("dfe4e8") * rgb(TINTS[scene.time])
        sky = (mix(sky[0], white, 0.1), mix(sky[1], white, 0.35), mix(sky[2], white, 0.7))
    land = rgb(TINTS[scene.time]) * np.float32(dull)
    near = rgb(NEAR[scene.time]) * np.float32(0.5 + 0.5 * dull)
    haze = mix(sky[2], sky[1], 0.35)
    return Light(sky, haze, land, near, scene.time == "night")


@dataclass(frozen=True)
class Plan:
    """Where things go: the row of the horizon, a scale of sizes, the subject's column and the open side.

    The open side of a symmetrical picture is the left one, whose background is mirrored to the right.
    """

    horizon: float
    scale: float
    focus: float
    side: float
    seed: int

    def rng(self, part: str) -> np.random.Generator:
        """Returns the part's own stream of random numbers, so that parts do not disturb each other."""
        return np.random.default_rng((self.seed, NAMES.index(part)))


def plan_of(scene: Scene, canvas: Canvas, seed: int) -> Plan:
    """Returns the composition that shot and layout ask for; the seed chooses the side and small shifts."""
    rng = np.random.default_rng((seed, NAMES.index("place")))
    side = 1.0 if rng.random() < 0.5 and scene.layout != "symmetrical" else -1.0
    focus = 0.5 - side / 6 if scene.layout == "thirds" else 0.5
    horizon = HORIZON[scene.shot] + rng.uniform(-0.015, 0.015)
    scale = SCALE[scene.shot] * rng.uniform(0.97, 1.03)
    focus += rng.uniform(-0.015, 0.015) * (scene.layout != "symmetrical")
    return Plan(horizon * canvas.height, scale, focus, side, seed)


@dataclass(frozen=True)
class Stage:
    """Everything that a painter of one part needs."""

    canvas: Canvas
    scene: Scene
    light: Light
    plan: Plan

    @property
    def unit(self) -> float:
        """Pixels of "one" for things of this shot."""
        return self.canvas.u * self.plan.scale

    def row(self, depth: float) -> float:
        """Returns the row of a depth in the ground."""
        return self.plan.horizon + (self.canvas.height - self.plan.horizon) * depth

    def column(self, share: float) -> float:
        """Returns the column of a share of the width."""
        return self.canvas.width * share

    def beside(self, share: float) -> float:
        """Returns the column that lies `share` of the width from the centre, towards the open side."""
        return self.canvas.width * (0.5 + self.plan.side * share)
