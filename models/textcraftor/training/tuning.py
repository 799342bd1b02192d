"""What one step of the training computes: pictures of prompts, their rewards, and the loss.

Dimension key: b batch  c h w latent  H W image

Source: TextCraftor, Eq. 5 to 8; specification 3.3, 3.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor, nn

from ..chain import Chain, Condition
from ..loss import CLIP, total
from ..rewards import Reward
from .bases import Base
from .options import CraftOptions


class Batch(TypedDict):
    """Prompts, and their numbers (b,)."""

    numbers: Tensor
    prompts: list[str]


@dataclass(frozen=True)
class Tuning:
    """A frozen base with its rewards; `clip` is what the constraint `frozen` compares with, and `encoder`
    speaks where the denoiser is what is tuned."""

    base: Base
    rewards: Mapping[str, Reward]
    weights: Mapping[str, float]
    clip: Reward
    options: CraftOptions
    encoder: nn.Module

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the loss of `fit`, and every reward's mean."""
        prompts, options = list(batch["prompts"]), self.options
        tuned = model if options.tune == "encoder" else self.encoder
        denoiser = model if options.tune == "denoiser" else self.base.denoiser
        with torch.no_grad():
            before = self.base.say(self.base.encoder, prompts).condition
        said = self.base.say(tuned, prompts)
        noise = self.base.noise(len(prompts), generator).to(before.tokens.device)
        chain = Chain(
            self.base.rule(options.sampling_steps),
            self.base.ask(denoiser),
            options.cfg,
            options.checkpointing,
        )
        if options.method == "chain":
            latents = chain.sample(noise, before, said.condition, last=options.grad_steps)
        else:
            latents = direct(chain, noise, before, said.condition, generator)
        images = self.base.decode(latents)
        scores = {name: reward.score(images, prompts) for name, reward in self.rewards.items()}
        scores[CLIP] = self._aligned(said.pooled, images, prompts)
        found = total(scores, {**self.weights, CLIP: options.clip_weight})
        # What has no gradient at all (no steps with one) is still a loss whose gradient is 0.
        found = found + 0 * said.pooled.sum() if options.tune == "encoder" else found
        return {"loss": found, **{name: score.float().mean() for name, score in scores.items()}}

    def _aligned(self, pooled: Tensor, images: Tensor, prompts: Sequence[str]) -> Tensor:
        if self.options.constraint == "self":
            return self.base.aligned(pooled, images)
        return self.clip.score(images, prompts)


def direct(
    chain: Chain, noise: Tensor, before: Condition, after: Condition, generator: torch.Generator
) -> Tensor:
    """Returns the latents that a random step foresees (Eq. 5), on the way that the original encoder leads.

    The paper adds noise to pictures of a data set; here prompts are all there is, so x_t is the sampler's.
    """
    i = int(torch.randint(chain.rule.steps, (), generator=generator))
    return chain.estimate(chain.early(noise, before, i), after, i)
