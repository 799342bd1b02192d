"""Measures what was tuned for its card, on held-out prompts: rewards, alignment and captions, an encoder's
over w, a denoiser's before and after.

Dimension key: b batch  e shared space of CLIP  H W image

Source: specification 5.5.
"""

from __future__ import annotations

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
from ...trainer.options import recipe, told
from . import parts
from .gallery import COLUMNS, GRID, Gallery
from .options import TINY, CraftOptions, settled
from .studio import Studio, Trained, tuned_encoder

TOGETHER = 8  # prompts painted together
WHAT = {
    "encoder": "A text encoder that was tuned by rewards, with everything else frozen (TextCraftor). "
    "{begins}; between the two, what they say may be mixed by any weight w.",
    "denoiser": "A denoiser that was tuned by rewards, with its text encoder frozen: the second stage of "
    "TextCraftor.",
}
HOW = (
    "On {count} prompts {which}, a seed each, {steps} steps, guidance {cfg:g}. Rewards by the networks "
    "that were to be pleased and by those that judge (they learned from other pictures), in standard "
    "deviations of the pictures {first}. Captions: share of what the prompts' tags demand that the oracle "
    "reads off the pictures."
)
FIRST = {"encoder": "at w = 0", "denoiser": "before"}
BEGINS = "The original one begins a picture, this one takes over after {share:.0%} of the steps"
AT_ONCE = "It stands in for the original one from the first step on"
WORLD = " It is of this repository's little world, and knows nothing else."
DATA = "Prompts alone: {prompts}."


def card(options: CraftOptions, trained: Trained) -> Card:
    """Returns the card of what was trained and written, measured."""
    tiny, studio = options.base == TINY, trained.studio
    found = measure(options, studio, trained.model) if options.measured else {}
    count = len(found["alignment"][0]) if found else 0  # a text file may have fewer than were asked for
    chosen = told(options) | ({} if tiny else {"base": Path(options.base).name})
    plain = CraftOptions(preset=options.preset)
    usual = recipe(settled(plain) if options.preset or tiny else plain) | {"preset": ""}
    how = {"which": _which(options), "first": FIRST[options.tune], "cfg": options.cfg}
    begins = BEGINS.format(share=options.use_from) if options.use_from else AT_ONCE
    return Card(
        what=WHAT[options.tune].format(begins=begins) + (WORLD if tiny else ""),
        command=f"presample train textcraftor{flags(chosen, CraftOptions, usual=usual)}",
        data=DATA.format(prompts="a text file's" if options.prompts else "the little world's own"),
        training={"options": chosen, **trained.facts},
        how=HOW.format(count=count, steps=options.sampling_steps, **how),
        measures=measures(found, list(studio.rewards), tune=options.tune) if found else {},
        more=[table(found, COLUMNS[options.tune])] if found else [],
    )


def _which(options: CraftOptions) -> str:
    return "of those it was tuned with" if parts.too_few(options) else "that it was not tuned with"


def measure(options: CraftOptions, studio: Studio, model: nn.Module) -> dict[str, list[list[float]]]:
    """Returns for every quantity its values in each column of the gallery, one for each prompt.

    An encoder is read back from the file that was written. A denoiser is `model`.
    """
    gallery = tuned_gallery(options, studio, model)
    prompts, wanted = held_out(options)
    found: dict[str, list[list[float]]] = {}
    features: list[list[Tensor]] = [[] for _ in gallery.titles]
    for start in range(0, len(prompts), TOGETHER):
        chosen = slice(start, start + TOGETHER)
        seeds = [options.seed + HELD_OUT + start + k for k in range(len(prompts[chosen]))]
        for k, images in enumerate(gallery.columns(prompts[chosen], seeds)):
            features[k].append(studio.clip.images(images))
            for name, values in judged(images, prompts[chosen], wanted[chosen], studio).items():
                found.setdefault(name, [[] for _ in gallery.titles])[k].extend(values)
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


def measures(
    found: Mapping[str, list[list[float]]], rewards: Sequence[str], *, tune: str = "encoder"
) -> dict[str, Measure]:
    """Returns the card's rows, with what the little world's encoders should reach (specification 5.5); a
    denoiser has no w to be in order with."""
    rows = {}
    for name in rewards:
        for which, least in ((name, 0.5), (f"{name}, judge", 0.25)):
            if which in found:
                rows[f"gain {which}"] = Measure(f"{which}: gain", gain(found[which]), "+.2f", least)
        if tune == "encoder":
            order = spearman(GRID, [mean(v) for v in found[name]])
            rows[f"order {name}"] = Measure(f"{name}: rank correlation with w", order, ".2f", 0.9)
    for name, least, those in (
        ("alignment", 0.9, "that"),
        ("diversity", 0.9, "that"),
        ("captions", 0.95, "those"),
    ):
        if name in found:
            title = f"{name}, of {those} {FIRST[tune]}"
            rows[name] = Measure(title, _ratio(found[name]), ".1%", least)
    return rows


def gain(values: Sequence[Sequence[float]]) -> float:
    """Returns how much more the last column has than the first, in standard deviations of the first."""
    first, last = values[0], values[-1]
    return (mean(last) - mean(first)) / max(stdev(first) if len(first) > 1 else 1.0, 1e-6)


def _ratio(values: Sequence[Sequence[float]]) -> float:
    return mean(values[-1]) / (mean(values[0]) or 1e-6)


def table(found: Mapping[str, list[list[float]]], titles: Sequence[str]) -> str:
    """Returns the means of the columns as Markdown."""
    rows = [
        f"| {name} | " + " | ".join(f"{mean(v):.3f}" for v in values) + " |" for name, values in found.items()
    ]
    return "\n".join([f"| | {' | '.join(titles)} |", "|---|" + "---|" * len(titles), *rows])
