"""The loss of MMH-DiT: I-CFM on latents, with the text left out for some of the pictures.

b batch  m text tokens  d width of the text encoder  e condition

Source: spec 2.2 (dropout), 2.6 (path, target, loss).
"""

import torch
from torch import Tensor

from .. import flow
from .batches import Batch


def drop(mask: Tensor | None, text: Tensor | None, share: float, generator: torch.Generator) -> Tensor | None:
    """Returns the mask (b, m) without the tokens of a random `share` of the texts: those have BOS alone."""
    if text is None:
        return None
    kept = torch.rand(len(text), 1, generator=generator) >= share
    whole = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device) if mask is None else mask.bool()
    return whole & kept.to(text.device)


def make_loss(options: flow.FlowOptions, *, share: float):
    """Returns the loss of `fit`: the mean squared error of the velocity."""

    def loss(model: torch.nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        latents, text = batch["latents"].float(), batch["text"]
        cond = None if text is None or options.coupling == "independent" else mean_text(text, batch["mask"])
        example = flow.example(latents, options, generator, cond=cond)
        mask = drop(batch["mask"], text, share, generator)
        return flow.loss(model(example.x_t, example.t, text, mask), example.velocity)

    return loss


def mean_text(text: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the mean of each text's tokens (b, d), by which couplings tell conditions apart."""
    if mask is None:
        return text.float().mean(1)
    weights = mask.float()[..., None]
    return (text.float() * weights).sum(1) / weights.sum(1).clamp_min(1)
