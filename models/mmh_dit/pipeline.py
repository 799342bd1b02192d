"""From prompts to pictures: a model with what encodes its text and what decodes its latents.

Convention: sizes in pixels; pictures are (b, 3, H, W) in 0..1. Every picture has a seed of its own, and is
the same whichever others are made with it, but for rounding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..latents import latent_shape
from .flow import EMPTY, Progress, SampleOptions, Text, noise, sample
from .model import MMHDiT


@dataclass(frozen=True)
class Pipeline:
    """`encode` makes the model's text of prompts, `decode` pictures of latents at unit scale."""

    model: MMHDiT
    encode: Callable[[Sequence[str]], Text]
    decode: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def pictures(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        width: int,
        height: int,
        negative: str = "",
        options: SampleOptions | None = None,
        on_step: Callable[[Progress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Tensor:
        """Returns one picture for each prompt, from the noise of its seed.

        An empty negative prompt is no text at all. Raises ValueError for sizes that are no multiples of 8 or
        another number of seeds than of prompts, and Interrupted when `should_stop` returns True.
        """
        shape = latent_shape(width, height, channels=self.model.config.in_ch)
        if len(seeds) != len(prompts):
            raise ValueError(f"there must be a seed for each prompt, got {len(seeds)} for {len(prompts)}")
        latents = sample(
            self.model,
            noise(shape, seeds).to(next(self.model.parameters()).device),
            self.encode(prompts),
            negative=self.encode([negative] * len(prompts)) if negative else EMPTY,
            options=options,
            on_step=on_step,
            should_stop=should_stop,
        )
        return self.decode(latents)
