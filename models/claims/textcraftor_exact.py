"""TextCraftor where all is known: six prompts, the exact denoiser of their pictures, a table as encoder.

A picture is a point (x, y). Those of a prompt are normal around its mean, one of six on a circle, and what is
said to the denoiser is the mean itself; of no text it knows the mixture. The reward is x, whatever the
prompt, so what it asks for alone is collapse, and the constraint is the cosine to the prompt's mean.
Source: specification 5.5, analytic version.

b batch
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..metrics.ranks import spearman
from ..playground.schedules import sd_alphas_cumprod
from ..textcraftor.chain import DDIM, Chain, Condition, mixed
from ..textcraftor.loss import cosine, total
from ..textcraftor.mix import first_step
from .drawn import curve
from .experiment import Job
from .judgement import Check, Judgement, Panel
from .statistics import interval

CONSTRAINED, FREE = "constrained", "free"


@dataclass(frozen=True)
class ExactSettings:
    """Sizes, and what was wanted before the run."""

    prompts: int = 6
    radius: float = 0.4
    spread: float = 0.05
    ddim_steps: int = 25
    grad_steps: int = 5
    use_from: float = 0.4
    cfg: float = 7.5
    steps: int = 100
    batch: int = 60
    lr: float = 0.005
    clip_weight: float = 10.0
    measured: int = 600
    points: int = 11
    least_gain: float = 1.0
    least_alignment: float = 0.95
    most_collapsed: float = 0.5


@dataclass(frozen=True)
class ExactWorld:
    """The prompts and their exact denoiser, under SD's schedule."""

    settings: ExactSettings

    @cached_property
    def means(self) -> Tensor:
        """The means (prompts, 2), none of them on an axis."""
        count = self.settings.prompts
        angles = (torch.arange(count, dtype=torch.float64) + 0.5) * 2 * math.pi / count
        return self.settings.radius * torch.stack((angles.cos(), angles.sin()), 1)

    @cached_property
    def alphas_cumprod(self) -> Tensor:
        return sd_alphas_cumprod()

    @cached_property
    def chain(self) -> Chain:
        """Returns DDIM under guidance as TextCraftor samples."""
        return Chain(DDIM(self.alphas_cumprod, self.settings.ddim_steps), self.predict, self.settings.cfg)

    def predict(self, x: Tensor, t: Tensor, tokens: Tensor | None, mask: Tensor | None) -> Tensor:
        """Returns the noise (b, 2) to be expected in x; `tokens` (b, 1, 2) is the mean that is said."""
        kept = self.alphas_cumprod[t][:, None]
        alpha, sigma = kept.sqrt(), (1 - kept).sqrt()
        variance = kept * self.settings.spread**2 + sigma**2
        if tokens is not None:
            return sigma / variance * (x - alpha * tokens[:, 0])
        away = x[:, None] - alpha[..., None] * self.means  # (b, prompts, 2)
        shares = (-away.square().sum(-1) / (2 * variance)).softmax(-1)
        return sigma / variance * (shares[..., None] * away).sum(1)

    def noise(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns which prompts (b,), all of them as often, and noise (b, 2)."""
        draws = torch.randn(count, 2, generator=generator, dtype=torch.float64)
        return torch.arange(count) % self.settings.prompts, draws

    def said(self, table: Tensor, prompts: Tensor) -> Condition:
        """Returns what a table (prompts, 2) says."""
        return Condition(table[prompts][:, None])

    def tune(self, clip_weight: float, generator: torch.Generator, *, last: int | None = None) -> Tensor:
        """Returns the table after training; `last` is K."""
        settings, last = self.settings, self.settings.grad_steps if last is None else last
        table = self.means.clone().requires_grad_()
        optimizer = torch.optim.AdamW([table], lr=settings.lr, weight_decay=0.0)
        for _ in range(settings.steps):
            prompts, noise = self.noise(settings.batch, generator)
            x = self.chain.sample(noise, self.said(self.means, prompts), self.said(table, prompts), last=last)
            scores = {"x": x[:, 0], "clip": cosine(x, self.means[prompts])}
            loss = total(scores, {"x": 1.0, "clip": clip_weight})
            optimizer.zero_grad()
            if loss.requires_grad:
                loss.backward()
            optimizer.step()
        return table.detach()

    @torch.no_grad()
    def sweep(
        self, table: Tensor, weights: Sequence[float], generator: torch.Generator
    ) -> list[tuple[float, float]]:
        """Returns the mean reward and alignment at each w, the original table beginning."""
        settings = self.settings
        prompts, noise = self.noise(settings.measured, generator)
        last = settings.ddim_steps - first_step(settings.ddim_steps, settings.use_from)
        original, tuned = self.said(self.means, prompts), self.said(table, prompts)
        found = []
        for w in weights:
            x = self.chain.sample(noise, original, mixed((original, tuned), (1 - w, w)), last=last)
            found.append((float(x[:, 0].mean()), float(cosine(x, self.means[prompts]).mean())))
        return found


def grid(points: int) -> list[float]:
    """Returns w from 0 to 1."""
    return [i / (points - 1) for i in range(points)]


def measure(job: Job) -> dict:
    """Returns reward and alignment over w of an arm."""
    world = ExactWorld(job.settings)
    weight = job.settings.clip_weight if job.arm == CONSTRAINED else 0.0
    table = world.tune(weight, job.generator(1))
    found = world.sweep(table, grid(job.settings.points), job.generator(2))
    reward, alignment = zip(*found, strict=True)
    return {
        "rewards": list(reward),
        "alignments": list(alignment),
        "gain": reward[-1] - reward[0],
        "alignment": alignment[-1],
        "order": spearman(grid(job.settings.points), reward),
    }


def judge(settings: ExactSettings, results) -> Judgement:
    """Returns what the numbers come to."""
    gain = interval(results.values(CONSTRAINED, "gain"))
    kept = interval(results.values(CONSTRAINED, "alignment"))
    lost = interval(results.values(FREE, "alignment"))
    order = min(results.values(CONSTRAINED, "order"))
    checks = (
        Check(
            "gain of reward", f"at least {settings.least_gain}", str(gain), gain.low >= settings.least_gain
        ),
        Check(
            "alignment with the constraint",
            f"at least {settings.least_alignment}",
            str(kept),
            kept.low >= settings.least_alignment,
        ),
        Check(
            "alignment without it",
            f"at most {settings.most_collapsed}",
            str(lost),
            lost.high <= settings.most_collapsed,
        ),
        Check("rank correlation of reward and w", "1 at every seed", f"{order:.3f}", order > 1 - 1e-9),
    )
    w = tuple(grid(settings.points))
    panels = tuple(
        Panel(title, "w", title, tuple(curve(arm, w, results.raw(arm, key)) for arm in (CONSTRAINED, FREE)))
        for title, key in (("reward", "rewards"), ("alignment", "alignments"))
    )
    return Judgement(checks, panels=panels)
