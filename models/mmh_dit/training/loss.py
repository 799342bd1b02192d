"""The loss of MMH-DiT: I-CFM on latents, with the text left out for some of the pictures.

b batch  m text tokens  d width of the text encoder  e condition  a attributes

Source: spec 2.2 (dropout), 2.6 (path, target, loss).
"""

import torch
from torch import Tensor

from .. import flow
from .batches import Batch
from .reading import Reader, surprise


def drop(mask: Tensor | None, text: Tensor | None, share: float, generator: torch.Generator) -> Tensor | None:
    """Returns the mask (b, m) without the tokens of a random `share` of the texts: those have BOS alone."""
    if text is None:
        return None
    kept = torch.rand(len(text), 1, generator=generator) >= share
    whole = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device) if mask is None else mask.bool()
    return whole & kept.to(text.device)


def make_loss(options: flow.FlowOptions, *, share: float, reader: Reader | None = None, weight: float = 0.0):
    """Returns the loss of `fit`: the mean squared error of the velocity, and `weight` times what the reader
    misses in the latents that are foreseen, where there is a reader."""

    def loss(model: torch.nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        latents, text = batch["latents"].float(), batch["text"]
        cond = None if text is None or options.coupling == "independent" else mean_text(text, batch["mask"])
        example = flow.example(latents, options, generator, cond=cond)
        mask = drop(batch["mask"], text, share, generator)
        velocity = model(example.x_t, example.t, text, mask)
        error = flow.loss(velocity, example.velocity)
        if reader is None:
            return {"loss": error}
        asked = batch["asked"] & mask.any(1, keepdim=True)  # (b, a)
        foreseen = flow.denoised(example.x_t, example.t, velocity)
        missed = surprise(reader(foreseen), batch["shown"], asked)
        return {"loss": error + weight * missed, "error": error, "missed": missed}

    return loss


def mean_text(text: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the mean of each text's tokens (b, d), by which couplings tell conditions apart."""
    if mask is None:
        return text.float().mean(1)
    weights = mask.float()[..., None]
    return (text.float() * weights).sum(1) / weights.sum(1).clamp_min(1)
