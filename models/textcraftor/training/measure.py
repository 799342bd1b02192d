"""Measures a tuned encoder for its card: rewards, alignment and captions over w, on held-out prompts.

Dimension key: b batch  e shared space of CLIP  H W image

Source: specification 5.5.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor, nn

from ...metrics.ranks import spearman
from ...mmh_dit.training.evaluate import requests
from ...options import flags
from ...tinyworld.following import Wanted, followed, share
from ...tinyworld.pictures import HELD_OUT
from ...trainer.card import Card, Measure
from ...trainer.options import recipe
from . import parts
from .gallery import GRID, Gallery
from .options import TINY, CraftOptions, settled
from .studio import Studio, Trained, tuned_encoder

TOGETHER = 8  # prompts painted together
WHAT = {
    "encoder": "A text encoder that was tuned by rewards, with everything else frozen (TextCraftor). The "
    "original one begins a picture, this one takes over after {use_from:.0%} of the steps; between the two, "
    "what they say may be mixed by any weight w.",
    "denoiser": "A denoiser that was tuned by rewards, with its text encoder frozen: the second stage of "
    "TextCraftor.",
}
HOW = (
    "On {count} prompts{same} with a seed each, {steps} steps, guidance {cfg:g}. Rewards by the networks "
    "that were to be pleased and by those that judge (they learned from other pictures), in standard "
    "deviations of the pictures at w = 0. Captions: share of what the prompts' tags demand that the oracle "
    "reads off the pictures."
)
WORLD = " It is of this repository's little world, and knows nothing else."
DATA = "Prompts alone: {prompts}."


def card(options: CraftOptions, trained: Trained) -> Card:
    """Returns the card of what was trained and written, measured."""
    tiny, studio = options.base == TINY, trained.studio
    found = measure(options, studio, trained.model) if options.measured else {}
    count = len(found["alignment"][0]) if found else 0  # a text file may have fewer than were asked for
    chosen = recipe(options) | ({} if tiny else {"base": Path(options.base).name})
    plain = CraftOptions(preset=options.preset)
    usual = recipe(settled(plain) if options.preset or tiny else plain) | {"preset": ""}
    return Card(
        what=WHAT[options.tune].format(use_from=options.use_from) + (WORLD if tiny else ""),
        command=f"presample train textcraftor{flags(chosen, CraftOptions, usual=usual)}",
        data=DATA.format(prompts="a text file's" if options.prompts else "the little world's own"),
        training={"options": chosen, **trained.facts},
        how=HOW.format(same=_same(options), count=count, steps=options.sampling_steps, cfg=options.cfg),
        measures=measures(found, list(studio.rewards)) if found else {},
        more=[table(found)] if found else [],
    )


def _same(options: CraftOptions) -> str:
    return " of those it was tuned with" if parts.too_few(options) else " that it was not tuned with"


def measure(options: CraftOptions, studio: Studio, model: nn.Module) -> dict[str, list[list[float]]]:
    """Returns for every quantity its values at each w of `GRID`, one for each prompt.

    An encoder is read back from the file that was written. A denoiser of w above 0 is `model`.
    """
    gallery = tuned_gallery(options, studio, model)
    prompts, wanted = held_out(options)
    found: dict[str, list[list[float]]] = {}
    features: list[list[Tensor]] = [[] for _ in GRID]
    for start in range(0, len(prompts), TOGETHER):
        chosen = slice(start, start + TOGETHER)
        seeds = [options.seed + HELD_OUT + start + k for k in range(len(prompts[chosen]))]
        columns = gallery.sweep(prompts[chosen], seeds, [(w,) for w in GRID])
        if gallery.denoiser:
            original = dataclasses.replace(gallery, denoiser=None)
            columns[0] = original.sweep(prompts[chosen], seeds, [(0.0,)])[0]
        for k, images in enumerate(columns):
            features[k].append(studio.clip.images(images))
            for name, values in judged(images, prompts[chosen], wanted[chosen], studio).items():
                found.setdefault(name, [[] for _ in GRID])[k].extend(values)
    return found | {"diversity": [[spread(torch.cat(each))] for each in features]}


def tuned_gallery(options: CraftOptions, studio: Studio, model: nn.Module) -> Gallery:
    """Returns pictures by what was tuned."""
    encoder = tuned_encoder(studio.base, options)
    if options.tune == "denoiser":
        return Gallery(studio.base, (encoder.eval(),), options, model)
    parts.load_encoder(encoder, Path(options.out) / "model.safetensors")
    return Gallery(studio.base, (encoder.eval(),), options)


def held_out(options: CraftOptions) -> tuple[list[str], list[Wanted]]:
    """Returns prompts that were not trained with, and what the little world's demand of pictures."""
    if options.base != TINY or options.prompts:
        prompts = parts.held_out_prompts(options)
        return prompts, [{}] * len(prompts)
    asked = requests(options.seed, options.measured)
    return [request.prompt.text for request in asked], [request.wanted for request in asked]


@torch.no_grad()
def judged(
    images: Tensor, prompts: Sequence[str], wanted: Sequence[Wanted], studio: Studio
) -> dict[str, list[float]]:
    """Returns what is measured of images (b, 3, H, W), one number for each."""
    found = {name: reward.score(images, prompts).tolist() for name, reward in studio.rewards.items()}
    found |= {
        f"{name}, judge": judge.score(images, prompts).tolist() for name, judge in studio.judges.items()
    }
    pairs = studio.clip.images(images) * studio.clip.texts(list(prompts))
    found["alignment"] = pairs.sum(-1).tolist()
    if studio.read and any(wanted):
        readings = studio.read(images)
        found["captions"] = [
            share(followed([reading], [demanded])) for reading, demanded in zip(readings, wanted, strict=True)
        ]
    return found


def spread(features: Tensor) -> float:
    """Returns the mean distance between features (b, e) of different pictures."""
    return float(torch.pdist(features.float()).mean()) if len(features) > 1 else 0.0


def measures(found: Mapping[str, list[list[float]]], rewards: Sequence[str]) -> dict[str, Measure]:
    """Returns the card's rows, with what the little world's encoders should reach (specification 5.5)."""
    rows = {}
    for name in rewards:
        for which, least in ((name, 0.5), (f"{name}, judge", 0.25)):
            if which in found:
                rows[f"gain {which}"] = Measure(f"{which}: gain", gain(found[which]), "+.2f", least)
        order = spearman(GRID, [mean(v) for v in found[name]])
        rows[f"order {name}"] = Measure(f"{name}: rank correlation with w", order, ".2f", 0.9)
    rows["alignment"] = Measure("alignment, of that at w = 0", _ratio(found["alignment"]), ".1%", 0.9)
    rows["diversity"] = Measure("diversity, of that at w = 0", _ratio(found["diversity"]), ".1%", 0.9)
    if "captions" in found:
        rows["captions"] = Measure("captions, of those at w = 0", _ratio(found["captions"]), ".1%", 0.95)
    return rows


def gain(values: Sequence[Sequence[float]]) -> float:
    """Returns how much more the last column has than the first, in standard deviations of the first."""
    first, last = values[0], values[-1]
    return (mean(last) - mean(first)) / max(stdev(first) if len(first) > 1 else 1.0, 1e-6)


def _ratio(values: Sequence[Sequence[float]]) -> float:
    return mean(values[-1]) / (mean(values[0]) or 1e-6)


def table(found: Mapping[str, list[list[float]]]) -> str:
    """Returns the means over w as Markdown."""
    head = " | ".join(f"w {w:g}" for w in GRID)
    rows = [
        f"| {name} | " + " | ".join(f"{mean(v):.3f}" for v in values) + " |" for name, values in found.items()
    ]
    return "\n".join([f"| | {head} |", "|---|" + "---|" * len(GRID), *rows])
