"""Pictures by tuned encoders in use: the original one begins, a mix of it and the tuned ones goes on.

Dimension key: b batch  H W image

Convention: every prompt has a seed of its own, so its picture is the same whichever others are made with it,
but for rounding. Source: specification 3.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ...trainer.fit import Moment
from ..chain import Chain, mixed
from ..mix import first_step, shares
from .bases import Base
from .options import CraftOptions

GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
COLUMNS = {"encoder": tuple(f"w {w:g}" for w in GRID), "denoiser": ("before", "after")}
"""What is compared of an encoder, and of a denoiser."""


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

    @property
    def titles(self) -> tuple[str, ...]:
        """The names of the columns."""
        return COLUMNS["encoder" if self.denoiser is None else "denoiser"]

    def columns(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Tensor]:
        """Returns images (b, 3, H, W) at each w of `GRID`; with a denoiser those by the base's and those by
        it, the tuned encoder in both."""
        if self.denoiser is None:
            return self.sweep(prompts, seeds, [(w,) for w in GRID])
        before = replace(self, denoiser=None)
        return [each.sweep(prompts, seeds, [(1.0,)])[0] for each in (before, self)]

    def _noise(self, seeds: Sequence[int]) -> Tensor:
        draws = [self.base.noise(1, torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.cat(draws)


@dataclass(frozen=True)
class Sheet:
    """Paints prompts from the same noise, an encoder's with w from 0 to 1 and a denoiser's before and after,
    and writes `step-000123.png` into `folder`."""

    folder: Path
    base: Base
    options: CraftOptions
    encoder: nn.Module
    prompts: Sequence[str]

    def __call__(self, moment: Moment) -> None:
        """Every process paints, as a model that is spread over them needs; the main one writes."""
        gallery = self.gallery(moment.model)
        images = gallery.columns(self.prompts, [self.options.seed + k for k in range(len(self.prompts))])
        if not moment.main:
            return
        from ...sheet import Cell, Row, draw_sheet, save_png

        rows = [
            Row(
                prompt, [Cell(column[k], title) for title, column in zip(gallery.titles, images, strict=True)]
            )
            for k, prompt in enumerate(self.prompts)
        ]
        save_png(draw_sheet(rows), self.folder / f"step-{moment.step:06d}.png", {})

    def gallery(self, model: nn.Module) -> Gallery:
        """Returns the pictures of an encoder or a denoiser in training."""
        if self.options.tune == "encoder":
            return Gallery(self.base, (model,), self.options)
        return Gallery(self.base, (self.encoder,), self.options, model)
