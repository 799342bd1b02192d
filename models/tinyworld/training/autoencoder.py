"""Trains the little world's autoencoder: `presample train tiny-autoencoder`.

The decoder sees latents with noise added, so that what a flow model gets a little wrong does no harm, and the
encoder is held to unit scale. No adversary and no perceptual network: pictures here are simple. A convolution
is a matrix from its window to a pixel, and takes Muon's steps as one, which learns about twice as fast.

b batch  H W image  h w latent
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...options import option
from ...trainer.card import Measure
from ...trainer.fit import Place, make_accelerator
from ...trainer.options import FitOptions, default
from ...trainer.seeds import generator_for
from ...trainer.small import FILE, Small, fit_and_save
from ..autoencoder import CHANNELS, STRIDE, Block, TinyAutoencoder, load_autoencoder
from ..pictures import draws, picture

WHAT = (
    "A small autoencoder for the pictures of this repository's little world: 16 latent channels at an eighth "
    "of the size, in the layout of TAESD and scaled as FLUX's latents are, so ComfyUI's VAE Loader reads it. "
    "It has seen nothing but that world."
)
DATA = "Endless paintings of random scenes, made by this repository's own code (`models/tinyworld`)."
HOW = "On 256 held-out pictures of 128x128 pixels."
HELD_OUT = 10**6  # added to the seed: a stream that no training sees


@dataclass(frozen=True)
class AutoencoderOptions(FitOptions):
    """How the autoencoder is trained. The defaults make the bundled one."""

    out: str = default(FitOptions, "out", "models/bundled/tiny-autoencoder")
    steps: int = default(FitOptions, "steps", 10000)
    lr: float = default(FitOptions, "lr", 3e-3)
    warmup: int = default(FitOptions, "warmup", 50)
    weight_decay: float = default(FitOptions, "weight_decay", 0.0)
    ema: float = default(FitOptions, "ema", 0.998)
    batch: int = option(12, "Pictures in a batch of one process.", low=1, high=4096, step=1)
    crop: int = option(64, "Side of the square that is cut from each, in pixels.", low=32, high=96, step=8)
    noise: float = option(0.1, "Noise added to latents before they are decoded.", low=0.0, high=1.0)
    edges: float = option(1.0, "Weight of differences between neighbouring pixels.", low=0.0, high=10.0)
    workers: int = option(0, "Processes that paint; they change nothing but the speed.", low=0, high=256)


def train(options: AutoencoderOptions) -> dict | None:
    """Trains and writes `model.safetensors`; returns what the card needs, in the process that wrote it.

    Raises:
        ModuleNotFoundError: accelerate is missing (`presample[train]`).
    """
    accelerator = make_accelerator(options)
    model = make_model(options.seed)

    def data(place: Place, skip: int) -> Iterator[Tensor]:
        return stream(Crops(options, place), skip=skip)

    def loss(model, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return losses(model, images, options, generator)

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


@dataclass(frozen=True)
class Crops(torch.utils.data.Dataset):
    """Batch i of a process: a square of each of its pictures, (b, 3, crop, crop) in 0..1."""

    options: AutoencoderOptions
    place: Place

    def __getitem__(self, index: int) -> Tensor:
        seed, count = self.options.seed, self.options.batch
        number = index * self.place.count + self.place.rank
        generator = generator_for(seed, number, 12)
        squares = [self._square(picture(d), generator) for d in draws(seed, count, start=number * count)]
        return (torch.stack(squares).float() / 255).contiguous(memory_format=torch.channels_last)

    def __len__(self) -> int:
        return 2**40

    def _square(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """A square at a random place of the latent grid."""
        size = self.options.crop
        top, left = (
            STRIDE * int(torch.randint((side - size) // STRIDE + 1, (), generator=generator))
            for side in image.shape[-2:]
        )
        return image[:, top : top + size, left : left + size]


def stream(crops: Crops, *, skip: int = 0) -> Iterator[Tensor]:
    """Yields the batches from number `skip` on, for ever."""
    workers = crops.options.workers
    return iter(
        torch.utils.data.DataLoader(
            crops,
            batch_size=None,
            sampler=itertools.count(skip),
            num_workers=workers,
            persistent_workers=workers > 0,
            generator=torch.Generator(),
        )
    )


def losses(
    model, images: Tensor, options: AutoencoderOptions, generator: torch.Generator
) -> dict[str, Tensor]:
    """Returns the loss of images (b, 3, H, W), and its parts."""
    size = images.shape[-1] // STRIDE
    noise = torch.randn(len(images), CHANNELS, size, size, generator=generator).to(images.device)
    latents, decoded = model(images, options.noise * noise)
    latents, decoded = latents.float(), decoded.float()
    pixels = (decoded - images).abs().mean()
    edges = sum((step(decoded) - step(images)).abs().mean() for step in (_across, _down))
    scale = (latents.square().mean() - 1).square() + latents.mean((0, 2, 3)).square().mean()
    return {
        "loss": pixels + options.edges * edges + 0.1 * scale,
        "pixels": pixels,
        "edges": edges,
        "scale": latents.square().mean(),
    }


def _across(x: Tensor) -> Tensor:
    return x[..., 1:] - x[..., :-1]


def _down(x: Tensor) -> Tensor:
    return x[..., 1:, :] - x[..., :-1, :]


@torch.no_grad()
def measure(options: AutoencoderOptions, *, count: int = 256) -> dict[str, Measure]:
    """Returns how well held-out pictures come back."""
    model = load_autoencoder(Path(options.out) / FILE)
    images = (
        torch.stack([picture(draw) for draw in draws(options.seed + HELD_OUT, count, square=True)]).float()
        / 255
    )
    latents = torch.cat([model.encode(part) for part in images.split(16)])
    back = torch.cat([model.decode(part) for part in latents.split(16)])
    errors = (back - images).square().mean((1, 2, 3))
    return {
        "psnr": Measure("mean of peak signal to noise, dB", float(-10 * errors.log10().mean()), ".2f", 28.0),
        "latent_std": Measure("standard deviation of latents", float(latents.std()), ".3f", 0.9, 1.1),
    }


MODEL = Small(
    "tiny-autoencoder",
    "train the little world's autoencoder",
    AutoencoderOptions,
    what=WHAT,
    data=DATA,
    how=HOW,
    train=train,
    measure=measure,
)
add_parser = MODEL.add_parser
