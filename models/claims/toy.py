"""A very small MMH-DiT on ColourShapes' pixels and captions: made, trained and sampled in a minute or two.

Convention: pictures (b, 3, H, W) in -1..1 take the place of latents. Data are drawn anew for every step and
follow from the seed, so that arms with one seed see the same pictures, captions, times and noise.

b batch  H, W pixels  m words  d width of a word
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..mmh_dit import flow
from ..mmh_dit.config import GATE_TOY, MMHDiTConfig
from ..mmh_dit.model import MMHDiT, init_weights
from ..mmh_dit.training.attention import written_out
from ..trainer.optimizers import make_optimizers
from ..trainer.options import FitOptions
from . import shapes_text
from .shapes import ATTRIBUTES, Scenes, draw, render


@dataclass(frozen=True)
class Toy:
    """The size of a model and its training."""

    hidden: int = 96
    heads: tuple[int, ...] = (4, 4, 4, 4)
    mlp: int = 256
    patch: int = 4
    word: int = 48
    width: int = 16
    height: int = 16
    steps: int = 600
    batch: int = 64
    lr: float = 5e-3
    warmup: int = 40
    drop: float = 0.1

    @property
    def config(self) -> MMHDiTConfig:
        """The model's shape."""
        return MMHDiTConfig(
            hidden=self.hidden,
            heads=self.heads,
            mlp_hidden=self.mlp,
            text_dim=self.word,
            text_len=shapes_text.LONGEST,
            in_ch=3,
            patch=self.patch,
            cond_dim=self.hidden,
            gate_init=GATE_TOY,
        )


def with_heads(toy: Toy, heads: tuple[int, ...]) -> Toy:
    """Returns the same with other head counts, one for each block."""
    return replace(toy, heads=heads)


def make(toy: Toy, generator: torch.Generator, *, device: torch.device | None = None) -> MMHDiT:
    """Returns a fresh model; its weights do not depend on the heads."""
    fused = device is not None and device.type == "cuda"
    model = MMHDiT(toy.config) if fused else MMHDiT(toy.config, attention=written_out)
    init_weights(model, generator)
    return model.to(device)


def text(captions: Sequence[str], toy: Toy, device: torch.device | None = None) -> flow.Text:
    """Returns captions as a condition; an empty caption has no words."""
    words, mask = shapes_text.embed(captions, toy.word)
    return flow.Text(words.to(device), mask.to(device))


@dataclass(frozen=True)
class Batch:
    """Pictures, what they show, their captions as a condition, and which attributes are named (b, 4)."""

    images: Tensor
    scenes: Scenes
    text: flow.Text
    named: Tensor


def batch(toy: Toy, generator: torch.Generator, *, device: torch.device | None = None) -> Batch:
    """Returns a minibatch of new scenes to learn from."""
    return batch_of(draw(toy.batch, generator), toy, generator, device=device)


def batch_of(
    scenes: Scenes, toy: Toy, generator: torch.Generator, *, device: torch.device | None = None
) -> Batch:
    """Returns a minibatch of these scenes with new captions, a share `drop` of them empty, for guidance."""
    count = len(scenes.shape)
    named = shapes_text.random_names(count, generator)
    kept = torch.rand(count, 1, generator=generator) >= toy.drop
    said = shapes_text.captions(scenes, named, generator)
    said = [caption if keep else "" for caption, keep in zip(said, kept[:, 0].tolist(), strict=True)]
    images = render(scenes, width=toy.width, height=toy.height).to(device)
    return Batch(images, scenes, text(said, toy, device), named & kept)


def train(
    model: torch.nn.Module,
    toy: Toy,
    loss: Callable[[int], Tensor],
    *,
    on_step: Callable[[int], object] = lambda step: None,
) -> None:
    """Trains a model with warm-up and a cosine to 0, by Muon where it is a denoiser's blocks, else by AdamW;
    `loss(step)` returns the loss of a new batch, with products in bfloat16 on the way.

    `on_step` is called after each step with its number, from 1.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    options = FitOptions(optimizer="muon", lr=toy.lr, beta2=0.98, weight_decay=0.0)
    optimizers = make_optimizers(model, options, inner=lambda name: "blocks." in name)
    device = weights[0].device.type
    model.train()
    for step in range(toy.steps):
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = toy.lr * rate(step, toy)
        with torch.autocast(device, torch.bfloat16):
            found = loss(step)
        found.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        on_step(step + 1)
    model.eval()


def rate(step: int, toy: Toy) -> float:
    """Returns the share of the learning rate at a step."""
    if step < toy.warmup:
        return (step + 1) / toy.warmup
    return 0.5 + 0.5 * math.cos(math.pi * (step - toy.warmup) / max(1, toy.steps - toy.warmup))


def flow_loss(
    model: torch.nn.Module, given: Batch, options: flow.FlowOptions, generator: torch.Generator
) -> Tensor:
    """Returns the loss of flow matching; couplings that ask tell conditions apart by their attributes."""
    cond = None if options.coupling == "independent" else attributes_of(given)
    example = flow.example(given.images, options, generator, cond=cond)
    return flow.loss(model(example.x_t, example.t, *given.text), example.velocity)


def attributes_of(given: Batch) -> Tensor:
    """Returns a vector (b, 19 + 4) that is the same for captions that say the same."""
    parts = []
    for column, values in zip(given.scenes[:4], ATTRIBUTES.values(), strict=True):
        parts.append(torch.nn.functional.one_hot(column, len(values)))
    spread = [part * given.named[:, i : i + 1] for i, part in enumerate(parts)]
    return torch.cat([*spread, (~given.named).long()], 1).float()


@torch.no_grad()
def pictures(
    model: torch.nn.Module,
    captions: Sequence[str],
    toy: Toy,
    generator: torch.Generator,
    *,
    options: flow.SampleOptions,
    width: int | None = None,
    height: int | None = None,
    chunk: int = 256,
) -> Tensor:
    """Returns a picture (b, 3, H, W) of each caption, on the CPU; noise is drawn for all at once."""
    size = (height or toy.height, width or toy.width)
    noise = torch.randn(len(captions), 3, *size, generator=generator)
    device = next(model.parameters()).device
    made = []
    for begin in range(0, len(captions), chunk):
        said = text(captions[begin : begin + chunk], toy, device)
        part = noise[begin : begin + chunk].to(device)
        made.append(flow.sample(model, part, said, options=options).cpu())
    return torch.cat(made)
