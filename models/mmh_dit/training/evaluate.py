"""Measures how well pictures follow their prompts: `presample eval mmh-dit` writes the bundled model's card.

Held-out scenes give prompts, the model paints them, and the oracle reads the pictures. What a prompt's tags
demand of a picture counts: the share of demanded attributes that have a demanded value. The same for the
scenes' own paintings, through the autoencoder, is what no model can be expected to exceed, and for pictures
of other prompts what chance gives. Source: spec 5.3 (caption accuracy).

b batch  h w latent  H W image
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...hub import bundled_weights
from ...options import add_flags, default, flags, from_flags, option
from ...seeds import generator_for
from ...tinyworld.bundled import AUTOENCODER
from ...tinyworld.following import Followed, Wanted, followed, share, visible_demands
from ...tinyworld.oracle import read
from ...tinyworld.pictures import HELD_OUT, Draw, draws, images_of, prompt
from ...tinyworld.pipeline import TinyOptions, load_pipeline
from ...tinyworld.prompts import Prompt
from ...tinyworld.scene import ASPECTS
from ...trainer.card import Card, Measure, write
from ...trainer.card import read as read_card
from .. import flow
from ..pipeline import Pipeline
from .distance import Distances, Embed, distances, load_embed
from .options import TrainOptions

LEAST = 0.9
WHAT = (
    "A very small MMH-DiT: it paints the little world of this repository (`models/tinyworld`) at about "
    "128x128 pixels from tags and captions, with the bundled tiny CLIP and tiny autoencoder. It is meant for "
    "trying things without a download, for tests and for experiments where the truth is known, and knows "
    "nothing but that world."
)
DATA = "Paintings of random scenes and what may be said of them, made by this repository's own code."
HOW = (
    "Share of what the tags of held-out prompts demand that the oracle reads off the pictures. *Paintings* "
    "are the scenes' own, through the autoencoder; *other prompts* are the model's pictures, judged by a "
    "prompt of another scene. *Distance* is the Fréchet distance of pictures with their prompts to other "
    "paintings with theirs, in the space of the tiny CLIP; its floor is that of the prompts' own paintings, "
    "its ceiling that of these with their prompts shuffled."
)

Read = Callable[[Tensor], Sequence[Mapping[str, str]]]


@dataclass(frozen=True)
class EvalOptions:
    """What is measured, and how much of it."""

    model: str = option("models/bundled/mmh-dit-tiny", "Folder of the model; the card is written into it.")
    pictures: int = option(512, "Pictures to paint and read.", low=16, high=10**6, step=16)
    steps: int = option(28, "Steps from noise to picture.", low=1, high=1000, step=1)
    cfg: float = default(TinyOptions, "cfg", TinyOptions.cfg)
    batch: int = option(32, "Pictures painted together.", low=1, high=4096, step=1)
    seed: int = option(0, "Decides scenes, prompts and noise.", low=0, high=2**31, step=1)


@dataclass(frozen=True)
class Request:
    """A held-out scene, a prompt that is true of it and has tags, and what they demand of a picture."""

    draw: Draw
    prompt: Prompt
    wanted: Wanted

    @property
    def noise_seed(self) -> int:
        """The seed of the noise; its low half, which is all that torch takes, depends on the stream too."""
        return generator_for(self.draw.seed >> 32, self.draw.seed % 2**32).initial_seed()


def add_parser(subparsers) -> ArgumentParser:
    """Adds `mmh-dit` to the subparsers of `presample eval`, and returns its parser."""
    parser = subparsers.add_parser("mmh-dit")
    add_flags(parser, EvalOptions)
    parser.set_defaults(run=run)
    return parser


def run(args: Namespace) -> int:
    """Measures and writes the card; returns 0 if every threshold is reached."""
    options = from_flags(args, EvalOptions)
    folder = Path(options.model)
    found = measure(load_pipeline(folder / "model.safetensors"), options, Judges.bundled())
    return 0 if write(folder, card(folder, found, options)) else 1


def requests(seed: int, count: int) -> list[Request]:
    """Returns held-out requests whose tags demand something that can be seen."""
    found: list[Request] = []
    for start in range(0, 100 * count, 1024):
        for draw in draws(seed + HELD_OUT, 1024, start=start):
            said = prompt(draw)
            wanted = visible_demands(said.tags)
            if wanted:
                found.append(Request(draw, said, wanted))
            if len(found) == count:
                return found
    raise AssertionError("prompts of the little world have tags")


def _reader() -> Read:
    from ...tinyworld.oracle import load_oracle

    oracle = load_oracle()
    return lambda images: [reading.values for reading in read(images, oracle=oracle)]


@dataclass(frozen=True)
class Results:
    """What was measured of the model's `pictures`, of the `paintings` through the autoencoder, and of the
    pictures with `others`' prompts."""

    pictures: Followed
    paintings: Followed
    others: Followed
    distances: Distances


@dataclass(frozen=True)
class Judges:
    """What looks at pictures (b, 3, H, W) in 0..1: the oracle, the encoder of latents, and both towers."""

    read: Read
    encode: Callable[[Tensor], Tensor]
    embed: Embed

    @classmethod
    def bundled(cls) -> Judges:
        """Returns the bundled ones; raises FileNotFoundError where one is not there."""
        return cls(_reader(), _encoder(), load_embed())


def measure(pipeline: Pipeline, options: EvalOptions, judges: Judges) -> Results:
    """Paints the held-out prompts and returns what the judges say of the pictures."""
    readings: dict[str, list] = defaultdict(list)
    features: dict[str, list[Tensor]] = defaultdict(list)
    wanted: list[Wanted] = []
    asked = requests(options.seed, 2 * options.pictures)
    for group in _groups(asked[: options.pictures], options.batch):
        prompts = [r.prompt.text for r in group]
        images = _paint(pipeline, group, options)
        paintings = _painted(group)
        readings["pictures"] += judges.read(images)
        readings["paintings"] += judges.read(pipeline.decode(judges.encode(paintings)))
        features["pictures"].append(judges.embed(images, prompts))
        features["paintings"].append(judges.embed(paintings, prompts))
        wanted += [r.wanted for r in group]
    for group in _groups(asked[options.pictures :], options.batch):
        features["others"].append(judges.embed(_painted(group), [r.prompt.text for r in group]))
    return Results(
        followed(readings["pictures"], wanted),
        followed(readings["paintings"], wanted),
        others=followed(readings["pictures"], wanted[1:] + wanted[:1]),
        distances=distances(*(torch.cat(features[name]) for name in ("pictures", "paintings", "others"))),
    )


def _paint(pipeline: Pipeline, group: Sequence[Request], options: EvalOptions) -> Tensor:
    """The model's pictures (b, 3, H, W) of requests of one size."""
    size = group[0].draw
    how = flow.SampleOptions(steps=options.steps, cfg=options.cfg)
    prompts, seeds = [r.prompt.text for r in group], [r.noise_seed for r in group]
    return pipeline.pictures(prompts, seeds, width=size.width, height=size.height, options=how)


def _painted(group: Sequence[Request]) -> Tensor:
    """The scenes' own paintings (b, 3, H, W) in 0..1."""
    return images_of([r.draw for r in group])


def _encoder() -> Callable[[Tensor], Tensor]:
    from ...tinyworld.autoencoder import load_autoencoder

    return torch.no_grad()(load_autoencoder(bundled_weights(AUTOENCODER)).encode)


def _groups(asked: Sequence[Request], batch: int) -> Iterator[list[Request]]:
    """Requests of one size together."""
    for aspect in ASPECTS:
        here = [r for r in asked if r.draw.scene.aspect == aspect]
        yield from (here[i : i + batch] for i in range(0, len(here), batch))


def card(folder: Path, found: Results, options: EvalOptions) -> Card:
    """Returns the card of a measured model."""
    training = read_card(folder).get("training", {})
    measures = {
        "accuracy": Measure("pictures", share(found.pictures), ".1%", least=LEAST),
        "paintings": Measure("paintings", share(found.paintings), ".1%"),
        "others": Measure("other prompts", share(found.others), ".1%"),
        "distance": Measure("distance", found.distances.pictures),
        "floor": Measure("distance, floor", found.distances.floor),
        "ceiling": Measure("distance, ceiling", found.distances.ceiling),
    }
    rows = [
        f"| {name} | {count} | {right / count:.1%} | {found.paintings[name][0] / count:.1%} |"
        for name, (right, count) in found.pictures.items()
    ]
    table = "\n".join(["| attribute | demanded | pictures | paintings |", "|---|---|---|---|", *rows])
    how = f"{HOW} {options.pictures} prompts, {options.steps} Euler steps, guidance {options.cfg:g}."
    command = f"presample train mmh-dit{flags(training.get('options', {}), TrainOptions)}"
    return Card(WHAT, command, DATA, training, how, measures, [table])
