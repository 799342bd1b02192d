"""The little world as training data: endless records, and the samples made of them.

Everything follows from one seed: chunk `i` of process `rank` has its own generator.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch

from ...seeds import generator_for
from ...tinyworld.scene import ASPECTS, Scene, sample_many
from ...tinyworld.strangers import stranger_names, stranger_tags
from ...tinyworld.tags import mention
from ...tinyworld.text import long_caption, short_caption
from .samples import Habits, Record, Sample, build

PAIR = 0.05  # records that are a pair of captions without tags
# Tags are what takes long to learn, captions are soon learned, so many records have tags alone.
NO_SHORT, NO_LONG = 0.6, 0.7
NAMES = 0.1  # records with an artist, a character or a series nobody knows


def record_of(scene: Scene, generator: torch.Generator) -> Record:
    """Returns a record of a scene: more or less detailed, with one or two captions or none."""
    chance = torch.rand(6, generator=generator, dtype=torch.float64).tolist()
    _, tags = mention(scene, generator)
    pair = chance[0] < PAIR or not (tags["general"] or tags.get("special"))
    if pair:
        tags = {category: words for category, words in tags.items() if category not in ("general", "special")}
        if chance[1] < 0.5:
            tags = {}
    pair = not (tags.get("special") or tags.get("general"))
    short = "" if not pair and chance[2] < NO_SHORT else short_caption(scene, generator)
    long = "" if not pair and chance[3] < NO_LONG else long_caption(scene, generator)
    if chance[4] < NAMES:
        tags = {**tags, **_strange_names(generator)}
    ratios = ASPECTS[scene.aspect]
    ratio = f"{ratios[int(chance[5] * len(ratios))]:.1f}" if tags else ""
    return Record(tags, short=short, long=long, aspect_ratio=ratio)


def _strange_names(generator: torch.Generator) -> dict[str, tuple[str, ...]]:
    names = stranger_names()
    keys = ("artist", "characters", "copyrights")
    key = keys[int(torch.randint(len(keys), (), generator=generator))]
    return {key: (names[int(torch.randint(len(names), (), generator=generator))],)}


@cache
def habits() -> Habits:
    """Returns how often training mixes in what only people do."""
    return Habits(stranger_tags(), mix=0.15, early=0.2, rough=0.15)


def chunk(seed: int, rank: int, index: int, *, count: int, pure: bool = False) -> Iterator[Sample]:
    """Yields the samples of one chunk; `pure` ones follow the published construction and nothing else."""
    generator = generator_for(seed, rank, index)
    for scene in sample_many(generator, count):
        yield build(record_of(scene, generator), generator, habits=None if pure else habits())


def held_out(seed: int, count: int) -> list[Sample]:
    """Returns samples that no training run of any seed sees: their stream is numbered below zero."""
    return list(chunk(seed, -1, -1, count=count, pure=True))
