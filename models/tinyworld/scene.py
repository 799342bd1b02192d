"""The little world: what a landscape can be, and how likely, as a Bayes net of readable tables.

Convention: every attribute is one of a few words, all of them paintable; `none` means absent.
A table gives weights; each parent multiplies them; rows are normalised. Section 5.2 of the specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache

import torch

from .culture import figure, picture, works
from .nature import climate, heavens, land
from .net import Net, Node

# Each shape of canvas with its ratios of width to height, of which no two shapes share one.
ASPECTS = {
    "tall": (0.4, 0.5, 0.6),
    "portrait": (0.7, 0.8),
    "square": (0.9, 1.0, 1.1),
    "landscape": (1.2, 1.3, 1.4, 1.5),
    "wide": (1.6, 1.8, 2.0, 2.2, 2.4),
}


@dataclass(frozen=True)
class Scene:
    """One landscape. The fields are the nodes of `world()`, in its order; see `nodes()` for their values."""

    season: str
    place: str
    time: str
    weather: str
    sky: str
    clouds: str
    disc: str
    stars: str
    event: str
    birds: str
    wind: str
    relief: str
    ground: str
    water: str
    boat: str
    shore: str
    trees: str
    stand: str
    flowers: str
    bloom: str
    undergrowth: str
    rocks: str
    structure: str
    roof: str
    windows: str
    path: str
    fixture: str
    animal: str
    figure: str
    hair: str
    hair_length: str
    outfit: str
    outfit_color: str
    carries: str
    pose: str
    facing: str
    shot: str
    layout: str
    palette: str
    finish: str
    effect: str
    quality: str
    resolution: str
    aspect: str


def nodes() -> tuple[Node, ...]:
    """Returns the world's tables, each after its parents."""
    return (*climate(), *heavens(), *land(), *works(), *figure(), *picture())


@cache
def world() -> Net:
    """Returns the joint distribution of all attributes, built once at the first call."""
    return Net(nodes())


def sample(generator: torch.Generator) -> Scene:
    """Returns one scene; the generator decides all of it."""
    return sample_many(generator, 1)[0]


def sample_many(generator: torch.Generator, count: int) -> list[Scene]:
    """Returns `count` independent scenes."""
    return [Scene(**row) for row in world().sample(generator, count)]


def aspect_of(ratio: float) -> str:
    """Returns the shape of canvas whose ratios are nearest to width over height."""
    return min(ASPECTS, key=lambda shape: min(abs(r - ratio) for r in ASPECTS[shape]))


def log_prob(scene: Scene) -> float:
    """Returns log p(scene) in nats, exact."""
    return world().log_prob(asdict(scene))


def posterior(attribute: str, given: Mapping[str, str]) -> dict[str, float]:
    """Returns p(attribute | given), exact.

    Raises:
        ValueError: an attribute or value is unknown, or the given values cannot occur together.
    """
    return world().posterior(attribute, world().observe(given))
