"""Trains the little world's autoencoder: `presample train tiny-autoencoder`.

What matters of latents is how well a flow model learns them. The decoder sees them on the flow's own path,
with noise of every magnitude, so that what counts most is written largest and a flow model finds it first;
noise grows with time, since nothing is learned in strong noise alone. Latents at half the size must give the
picture at half the size, so that coarse things lie in coarse latents; and the encoder is held to unit scale.
Hues have a loss of their own: most of a picture is its light, and an axis of colour may be missing for long.
No adversary and no perceptual network: pictures here are simple. The pictures are painted once, into files of
a cache folder.
Sources: Yang et al. 2025, "Latent Denoising Makes Good Visual Tokenizers", for the noise; Skorokhodov et al.
2025, "Improving the Diffusability of Autoencoders", for the half size.

b batch  H W image  h w latent
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ...latents import CHANNELS, STRIDE
from ...options import default, option
from ...seeds import generator_for
from ...trainer.card import Measure
from ...trainer.fit import Place, make_accelerator
from ...trainer.options import FitOptions
from ...trainer.small import FILE, Small, fit_and_save
from ..autoencoder import Block, TinyAutoencoder, load_autoencoder
from ..bundled import AUTOENCODER
from ..pictures import HELD_OUT, draws, images_of
from .painted import PaintedOptions, shards

WHAT = (
    "A small autoencoder for the pictures of this repository's little world: 16 latent channels at an eighth "
    "of the size, in the layout of TAESD and scaled as FLUX's latents are, so ComfyUI's VAE Loader reads it. "
    "It has seen nothing but that world."
)
DATA = "Paintings of random scenes, made by this repository's own code (`models/tinyworld`)."
HOW = "On 256 held-out pictures of 128x128 pixels."


@dataclass(frozen=True)
class AutoencoderOptions(PaintedOptions):
    """How the autoencoder is trained. The defaults make the bundled one."""

    out: str = default(FitOptions, "out", "models/bundled/tiny-autoencoder")
    steps: int = default(FitOptions, "steps", 7000)
    lr: float = default(FitOptions, "lr", 3e-3)
    warmup: int = default(FitOptions, "warmup", 50)
    weight_decay: float = default(FitOptions, "weight_decay", 0.0)
    ema: float = default(FitOptions, "ema", 0.998)
    batch: int = option(12, "Pictures in a batch of one process.", low=1, high=4096, step=1)
    crop: int = option(64, "Side of the square that is cut from each, in pixels.", low=32, high=96, step=16)
    calm: float = option(-4.0, "Least noise over signal in latents, as a logarithm.", low=-9.0, high=9.0)
    noise: float = option(1.0, "Most noise over signal in latents, as a logarithm.", low=-9.0, high=9.0)
    ramp: float = option(0.6, "Share of the steps in which noise grows to its most.", low=0.0, high=1.0)
    half: float = option(0.25, "Weight of pictures decoded at half the size.", low=0.0, high=10.0)
    hues: float = option(1.0, "Weight of hues, seen four by four pixels.", low=0.0, high=10.0)
    edges: float = option(1.0, "Weight of differences between neighbouring pixels.", low=0.0, high=10.0)


def train(options: AutoencoderOptions) -> dict | None:
    """Trains and writes `model.safetensors`; returns what the card needs, in the process that wrote it.

    Raises:
        ModuleNotFoundError: accelerate is missing (`presample[train]`).
    """
    accelerator = make_accelerator(options)
    with accelerator.main_process_first():
        pictures = [shard.pixels for shard in shards(options)]
    model = make_model(options.seed)

    def data(place: Place, skip: int) -> Iterator[Batch]:
        return stream(pictures, options, place=place, skip=skip)

    def loss(model, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return losses(model, batch, options)

    return fit_and_save(model, options, data=data, loss=loss, accelerator=accelerator)


@torch.no_grad()
def make_model(seed: int) -> TinyAutoencoder:
    """Returns a fresh autoencoder of a seed, whose blocks do little; the global random state is as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TinyAutoencoder()
    for block in model.modules():
        if isinstance(block, Block):
            block.conv[-1].weight.mul_(0.1)
            block.conv[-1].bias.zero_()
    return model


class Batch(NamedTuple):
    """Images in 0..1, and what shares of their latents are to be noise."""

    images: Tensor  # (b, 3, H, W)
    noise: Tensor  # (b, 16, h, w)
    share: Tensor  # (b, 1, 1, 1)


def stream(
    pictures: Sequence[Tensor], options: AutoencoderOptions, *, place: Place, skip: int
) -> Iterator[Batch]:
    """Yields batches from number `skip` on, for ever: squares of side `crop` at random places of the latent
    grid of random pictures; `pictures` are (n, 3, h, w) of several sizes, uint8."""
    all_of_them = [(group, i) for group, pixels in enumerate(pictures) for i in range(len(pixels))]
    side = options.crop // STRIDE
    for turn in itertools.count(skip):
        generator = generator_for(options.seed, turn * place.count + place.rank, 12)
        chosen = torch.randint(len(all_of_them), (options.batch,), generator=generator).tolist()
        images = [pictures[group][i] for group, i in map(all_of_them.__getitem__, chosen)]
        squares = torch.stack([_square(image, options.crop, generator) for image in images])
        yield Batch(
            (squares.float() / 255).contiguous(memory_format=torch.channels_last),
            torch.randn(options.batch, CHANNELS, side, side, generator=generator),
            noise_share(turn // options.accumulate, options, generator),
        )


def noise_share(step: int, options: AutoencoderOptions, generator: torch.Generator) -> Tensor:
    """Returns the shares of noise (b, 1, 1, 1) of a step: even in the logarithm of noise over signal, from
    `calm` to a most that grows with the steps."""
    grown = min(1.0, step / max(1.0, options.ramp * options.steps))
    place = torch.rand(options.batch, 1, 1, 1, generator=generator)
    return (options.calm + grown * (options.noise - options.calm) * place).sigmoid()


def _square(image: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A square at a random place of the latent grid."""
    top, left = (
        STRIDE * int(torch.randint((side - size) // STRIDE + 1, (), generator=generator))
        for side in image.shape[-2:]
    )
    return image[:, top : top + size, left : left + size]


def losses(model, batch: Batch, options: AutoencoderOptions) -> dict[str, Tensor]:
    """Returns the loss of a batch, and its parts."""
    images = batch.images
    latents, decoded, halved = (out.float() for out in model(*batch))
    pixels, edges = _differences(decoded, images)
    hues = (_hues(decoded) - _hues(images)).abs().mean()
    half = sum(_differences(halved, functional.avg_pool2d(images, 2)))
    scale = (latents.square().mean() - 1).square() + latents.mean((0, 2, 3)).square().mean()
    return {
        "loss": pixels + options.hues * hues + options.edges * edges + options.half * half + 0.1 * scale,
        "pixels": pixels,
        "hues": hues,
        "edges": edges,
        "half": half,
        "scale": latents.square().mean(),
    }


def _differences(found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """How far pictures are apart, and how far their steps from pixel to pixel are."""
    edges = sum((step(found) - step(wanted)).abs().mean() for step in (_across, _down))
    return (found - wanted).abs().mean(), edges


def _hues(x: Tensor) -> Tensor:
    """What red and blue have more than green, over four by four pixels: (b, 2, H/4, W/4)."""
    coarse = functional.avg_pool2d(x, 4)
    return coarse[:, ::2] - coarse[:, 1:2]


def _across(x: Tensor) -> Tensor:
    return x[..., 1:] - x[..., :-1]


def _down(x: Tensor) -> Tensor:
    return x[..., 1:, :] - x[..., :-1, :]


@torch.no_grad()
def measure(options: AutoencoderOptions, *, count: int = 256) -> dict[str, Measure]:
    """Returns how well held-out pictures come back."""
    model = load_autoencoder(Path(options.out) / FILE)
    images = images_of(draws(options.seed + HELD_OUT, count, square=True))
    latents = torch.cat([model.encode(part) for part in images.split(16)])
    back = torch.cat([model.decode(part) for part in latents.split(16)])
    errors = (back - images).square().mean((1, 2, 3))
    return {
        "psnr": Measure("mean of peak signal to noise, dB", float(-10 * errors.log10().mean()), ".2f", 24.0),
        "latent_std": Measure("standard deviation of latents", float(latents.std()), ".3f", 0.9, 1.1),
    }


MODEL = Small(
    AUTOENCODER,
    AutoencoderOptions,
    what=WHAT,
    data=DATA,
    how=HOW,
    train=train,
    measure=measure,
)
add_parser = MODEL.add_parser
