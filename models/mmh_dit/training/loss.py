"""The loss of MMH-DiT: I-CFM on latents, with the text left out for some of the pictures.

b batch  m text tokens  d width of the text encoder  e condition  a attributes

Source: spec 2.2 (dropout), 2.6 (path, target, loss).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .. import flow
from .batches import Batch
from .feedback import paint
from .reading import Reader, surprise


def drop(mask: Tensor | None, text: Tensor | None, share: float, generator: torch.Generator) -> Tensor | None:
    """Returns the mask (b, m) without the tokens of a random `share` of the texts: those have BOS alone."""
    if text is None:
        return None
    kept = torch.rand(len(text), 1, generator=generator) >= share
    whole = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device) if mask is None else mask.bool()
    return whole & kept.to(text.device)


def make_loss(
    options: flow.FlowOptions,
    *,
    share: float,
    reader: Reader | None = None,
    weight: float = 0.0,
    feedback: int = 0,
):
    """Returns the loss of `fit`: the mean squared error of the velocity, and `weight` times what the reader
    misses in the latents that are foreseen, where there is a reader: of the batch's pictures, and on the way
    of `feedback` texts that the model paints itself."""

    def loss(model: torch.nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        latents, text = batch["latents"].float(), batch["text"]
        cond = None if text is None or options.coupling == "independent" else mean_text(text, batch["mask"])
        example = flow.example(latents, options, generator, cond=cond)
        mask = drop(batch["mask"], text, share, generator)
        if reader is None:
            return {"loss": flow.loss(model(example.x_t, example.t, text, mask), example.velocity)}
        questions = [Question(example.x_t, example.t, text, mask)]
        if feedback:
            own = paint(model, latents, text, batch["mask"], feedback, generator)
            questions.append(Question(own.x_t, own.t, text[own.rows], batch["mask"][own.rows]))
        velocity, *tried = ask(model, questions)
        asked = batch["asked"] & mask.any(1, keepdim=True)  # (b, a)
        foreseen = flow.denoised(example.x_t, example.t, velocity)
        misses = {"missed": surprise(reader(foreseen), batch["shown"], asked)}
        if feedback:
            foreseen = own.foreseen(*tried)
            misses["failed"] = surprise(reader(foreseen), batch["shown"][own.rows], batch["asked"][own.rows])
        error = flow.loss(velocity, example.velocity)
        return {"loss": error + weight * sum(misses.values()), "error": error, **misses}

    return loss


class Question(NamedTuple):
    """What a model is asked for: the velocity at x_t (b, c, h, w) and t (b,) of a text (b, m, d), masked."""

    x_t: Tensor
    t: Tensor
    text: Tensor
    mask: Tensor


def ask(model: torch.nn.Module, questions: Sequence[Question]) -> tuple[Tensor, ...]:
    """Returns the velocities of each; the model is called once, as wrappers of models want it."""
    velocity = model(*map(torch.cat, zip(*questions, strict=True)))
    return velocity.split([len(question.t) for question in questions])


def mean_text(text: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the mean of each text's tokens (b, d), by which couplings tell conditions apart."""
    if mask is None:
        return text.float().mean(1)
    weights = mask.float()[..., None]
    return (text.float() * weights).sum(1) / weights.sum(1).clamp_min(1)
