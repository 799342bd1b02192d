"""Pictures by tuned encoders in use: the original one begins, a mix of it and the tuned ones goes on.

Dimension key: b batch  H W image

Convention: every prompt has a seed of its own, so its picture is the same whichever others are made with it,
but for rounding. Source: specification 3.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ...trainer.fit import Moment
from ..chain import Chain, mixed
from ..mix import first_step, shares
from .bases import Base
from .options import CraftOptions

GRID = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Gallery:
    """The base with `tuned` encoders, in use as the options say; `denoiser` stands in for the base's."""

    base: Base
    tuned: Sequence[nn.Module]
    options: CraftOptions
    denoiser: nn.Module | None = None

    @torch.no_grad()
    def sweep(
        self, prompts: Sequence[str], seeds: Sequence[int], weights: Sequence[Sequence[float]]
    ) -> list[Tensor]:
        """Returns images (b, 3, H, W) of the prompts for every tuple of weights, one weight for each tuned
        encoder; the original one has the rest, all of it at 0."""
        rule = self.base.rule(self.options.sampling_steps)
        first = first_step(rule.steps, self.options.use_from)
        chain = Chain(rule, self.base.ask(self.denoiser or self.base.denoiser), self.options.cfg)
        encoders = (self.base.encoder, *self.tuned)
        said = [self.base.say(encoder, prompts).condition for encoder in encoders]
        x = chain.early(self._noise(seeds).to(said[0].tokens.device), said[0], first)
        found = []
        for each in weights:
            condition = mixed(said, shares(each, w=sum(each)) if any(each) else (1, *each))
            z = x
            for i in range(first, rule.steps):
                z = chain.step(z, condition, i)
            found.append(self.base.decode(z))
        return found

    def _noise(self, seeds: Sequence[int]) -> Tensor:
        draws = [self.base.noise(1, torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.cat(draws)


@dataclass(frozen=True)
class Sheet:
    """Paints prompts from the same noise with w from 0 to 1, and writes `step-000123.png` into `folder`."""

    folder: Path
    base: Base
    options: CraftOptions
    encoder: nn.Module
    prompts: Sequence[str]

    def __call__(self, moment: Moment) -> None:
        """Every process paints, as a model that is spread over them needs; the main one writes."""
        images = self.images(moment.model)
        if not moment.main:
            return
        from ...sheet import Cell, Row, draw_sheet, save_png

        rows = [
            Row(prompt, [Cell(column[k], f"w {w:g}") for w, column in zip(GRID, images, strict=True)])
            for k, prompt in enumerate(self.prompts)
        ]
        save_png(draw_sheet(rows), self.folder / f"step-{moment.step:06d}.png", {})

    def images(self, model: nn.Module) -> list[Tensor]:
        """Returns the images (b, 3, H, W) at each w, of an encoder or a denoiser in training."""
        encoder = model if self.options.tune == "encoder" else self.encoder
        denoiser = model if self.options.tune == "denoiser" else None
        gallery = Gallery(self.base, (encoder,), self.options, denoiser)
        seeds = [self.options.seed + k for k in range(len(self.prompts))]
        return gallery.sweep(self.prompts, seeds, [(w,) for w in GRID])
