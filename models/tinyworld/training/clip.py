"""Trains the little world's CLIP: `presample train tiny-clip`.

Pictures are painted once and kept; what is said of them is drawn anew every time. Several processes contrast
each its own pairs. Contrast alone tells pictures apart by what is large in them; so that small things count,
linear maps that are thrown away afterwards must read all attributes of the scene off both sides, and off the
states of the tokens, which a denoiser listens to. Source: Radford et al. 2021, "Learning Transferable Visual
Models From Natural Language Supervision".

b batch  m text tokens  H W image  a attributes  v values
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...options import default, option
from ...seeds import generator_for
from ...trainer.card import Measure
from ...trainer.fit import Place, make_accelerator
from ...trainer.options import FitOptions
from ...trainer.small import FILE, Small, fit_and_save
from ..bundled import CLIP
from ..clip import SHARED, WIDTH, Words, load_clip, make_clip, read_words, seen, squeeze
from ..oracle import by_attribute, numbers, values_count
from ..pictures import HELD_OUT, Draw, draws, picture
from ..prompts import prompt_of
from .jitter import jitter
from .oracle import surprise
from .painted import PaintedOptions, enough, shards

WHAT = (
    "A small CLIP of this repository's little world: a text encoder over its language, which the little "
    "world's denoiser listens to, and a tower for its pictures. It has seen nothing but that world. The "
    "names are those of CLIP's files; the tokens are those of tipo-tiny and one that ends a prompt."
)
DATA = (
    "Paintings of random scenes, and for each time a picture is seen another prompt that is true of it: "
    "lists of tags and sentences, made by this repository's own code (`models/tinyworld`)."
)
HOW = (
    "On 1,024 held-out pictures with a prompt each: how often the right one of 128 is found, and how often a "
    "single tag fits the picture better than its rivals do."
)
AMONG = 128
# Tags that say of one attribute what the others deny.
RIVALS: Mapping[str, Mapping[str, str]] = {
    "season": {"spring (season)": "spring", "summer": "summer", "autumn": "autumn", "winter": "winter"},
    "time": {"sunrise": "dawn", "day": "day", "sunset": "sunset", "night": "night"},
    "figure": {"1girl": "girl", "1boy": "boy", "no humans": "none"},
}


@dataclass(frozen=True)
class ClipOptions(PaintedOptions):
    """How the CLIP is trained. The defaults make the bundled one."""

    out: str = default(FitOptions, "out", "models/bundled/tiny-clip")
    steps: int = default(FitOptions, "steps", 2400)
    lr: float = default(FitOptions, "lr", 2e-3)
    warmup: int = default(FitOptions, "warmup", 100)
    ema: float = default(FitOptions, "ema", 0.998)
    pictures: int = default(PaintedOptions, "pictures", 49152)
    batch: int = option(AMONG, "Pairs in a batch of one process.", low=2, high=65536, step=1)
    reading: float = option(2.0, "Weight of reading the attributes beside contrast.", low=0.0, high=100.0)
    words: str = option("models/bundled/tipo-tiny", "Folder of the tokenizer.")


def train(options: ClipOptions) -> dict | None:
    """Trains and writes `model.safetensors`; returns what the card needs, in the process that wrote it.

    Raises:
        ModuleNotFoundError: transformers or accelerate is missing (`presample[train]`).
    """
    accelerator = make_accelerator(options)
    with accelerator.main_process_first():
        pairs = load_pairs(options)
    words = read_words(Path(options.words))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        clip = make_clip(words)
    if hasattr(clip.model, "set_attn_implementation"):
        clip.model.set_attn_implementation("eager")  # backwards, fused attention is slower on a CPU

    def data(place: Place, skip: int) -> Iterator[dict[str, Tensor]]:
        return stream(pairs, words, options, place=place, skip=skip)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        readers = Readers(clip.model)
    how = {"data": data, "loss": make_loss(options.reading), "accelerator": accelerator, "part": "clip"}
    return fit_and_save(readers, options, inner=lambda name: ".layers." in name, **how)


class Read(NamedTuple):
    """The contrastive loss in nats, the scores (b, b) of pictures for prompts, and the scores (b, a, v) of
    every value by the prompt, by the mean of its states, and by the picture."""

    contrast: Tensor
    logits: Tensor
    found: tuple[Tensor, ...]


class Readers(nn.Module):
    """The CLIP, and the linear maps that read attributes in training."""

    def __init__(self, clip: nn.Module):
        super().__init__()
        self.clip = clip
        self.heads = nn.ModuleList(nn.Linear(width, values_count()) for width in (SHARED, WIDTH, SHARED))

    def forward(self, ids: Tensor, mask: Tensor, pixels: Tensor) -> Read:
        """Returns what is found of ids and mask (b, m) and pixels (b, 3, SIDE, SIDE) in 0..1."""
        out = self.clip(input_ids=ids, pixel_values=seen(pixels), return_loss=True)
        states, weights = out.text_model_output.last_hidden_state, mask[..., None].float()
        mean = (states * weights).sum(1) / weights.sum(1)
        of_unit_size = (out.text_embeds * SHARED**0.5, mean, out.image_embeds * SHARED**0.5)
        read = zip(self.heads, of_unit_size, strict=True)
        return Read(out.loss, out.logits_per_text, tuple(by_attribute(head(x)) for head, x in read))


@dataclass(frozen=True)
class Pairs:
    """Pictures (n, 3, SIDE, SIDE), uint8, and what they were painted from."""

    pixels: Tensor
    draws: Sequence[Draw]


def load_pairs(options: ClipOptions) -> Pairs:
    """Returns the pictures, squeezed to squares; paints what is missing."""
    found = shards(options)
    pixels = torch.cat([(squeeze(s.pixels.float()) + 0.5).clamp(0, 255).to(torch.uint8) for s in found])
    return Pairs(pixels, [shard.draw(i) for shard in found for i in range(len(shard.pixels))])


def stream(
    pairs: Pairs, words: Words, options: ClipOptions, *, place: Place, skip: int
) -> Iterator[dict[str, Tensor]]:
    """Yields batches from number `skip` on, for ever: `ids` and `mask` (b, m), `pixels` (b, 3, SIDE, SIDE) in
    0..1, and the numbers (b, a) of the values that `labels` tells."""
    per_epoch = enough(len(pairs.draws) // options.batch)
    number = skip * place.count + place.rank
    while True:
        epoch, within = divmod(number, per_epoch)
        order = torch.randperm(len(pairs.draws), generator=generator_for(options.seed, epoch, 31))
        chosen = order[within * options.batch :][: options.batch]
        generator = generator_for(options.seed, number, 32)
        scenes = [pairs.draws[i].scene for i in chosen.tolist()]
        ids, mask = words.batch([prompt_of(scene, generator).text for scene in scenes])
        pixels = jitter(pairs.pixels[chosen].float() / 255, generator)
        yield {"ids": ids, "mask": mask, "pixels": pixels, "labels": torch.stack([*map(numbers, scenes)])}
        number += place.count


def make_loss(reading: float):
    """Returns the loss of `fit`: CLIP's, and `reading` times the mean loss of an attribute, in nats."""

    def loss(model, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        found = model(batch["ids"], batch["mask"], batch["pixels"])
        labels = batch["labels"]
        read = sum(surprise(scores, labels) for scores in found.found) / labels.shape[1]
        right = found.logits.argmax(1) == torch.arange(len(labels), device=labels.device)
        shares = [(scores.argmax(-1) == labels).float().mean() for scores in found.found]
        names = ("prompt", "states", "picture")
        return {
            "loss": found.contrast + reading * read,
            "right": right.float().mean(),
            **dict(zip(names, shares, strict=True)),
        }

    return loss


@torch.no_grad()
def measure(options: ClipOptions, *, count: int = 1024) -> dict[str, Measure]:
    """Returns how well prompts and held-out pictures find each other."""
    clip = load_clip(Path(options.out) / FILE, read_words(Path(options.words)))
    found = draws(options.seed + HELD_OUT, count)
    squares = torch.cat([squeeze(picture(draw)[None].float() / 255) for draw in found])
    images = torch.cat([clip.images(part) for part in squares.split(AMONG)])
    generator = generator_for(options.seed, 33)
    prompts = [prompt_of(draw.scene, generator).text for draw in found]
    texts = torch.cat([clip.texts(prompts[i : i + AMONG]) for i in range(0, count, AMONG)])
    places = torch.arange(AMONG)
    scores = torch.stack([t @ i.T for t, i in zip(texts.split(AMONG), images.split(AMONG), strict=True)])
    measures = {
        "picture": Measure("right picture of 128", float((scores.argmax(2) == places).float().mean()), ".1%"),
        "prompt": Measure("right prompt of 128", float((scores.argmax(1) == places).float().mean()), ".1%"),
    }
    for name, tags in RIVALS.items():
        chosen = (images @ clip.texts(list(tags)).T).argmax(1).tolist()
        right = [asdict(d.scene)[name] == list(tags.values())[k] for d, k in zip(found, chosen, strict=True)]
        share = sum(right) / count
        measures[name] = Measure(f"{name}, one of {', '.join(tags)}", share, ".1%", 0.9)
    return measures


MODEL = Small(
    CLIP,
    ClipOptions,
    what=WHAT,
    data=DATA,
    how=HOW,
    train=train,
    measure=measure,
)
add_parser = MODEL.add_parser
