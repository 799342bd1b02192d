"""Sampling chains that gradients flow through, from noise to a latent: DDIM, and the Euler steps of a flow.

Dimension key: b batch  ... any shape of a latent  m text tokens  d width of the text encoder

Convention: a chain of n steps makes the first n - K without gradients from what the original encoder said,
and the last K from what the tuned one says. Step i counts from 0; time is each rule's own: DDIM's timesteps
fall, a flow's time rises as `mmh_dit.flow` has it.
Source: TextCraftor (arXiv 2403.18978), Eq. 2 to 6; specification 3.2, 3.3, 3.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..mmh_dit import flow
from .mix import mix

PREDICTIONS = ("epsilon", "v_prediction")
SPACINGS = ("trailing", "leading")

Ask = Callable[[Tensor, Tensor, "Tensor | None", "Tensor | None"], Tensor]
"""(x_t (b, ...), t (b), tokens (b, m, d) or None, mask (b, m) or None) -> prediction (b, ...)."""


@dataclass(frozen=True)
class Condition:
    """What an encoder says: `tokens` (b, m, d) of the prompts with their `mask` (b, m), or without a mask and
    with `empty` (b, m, d) of the empty prompt, which guidance goes away from; None is no text at all."""

    tokens: Tensor
    mask: Tensor | None = None
    empty: Tensor | None = None

    def __post_init__(self):
        if self.mask is not None and self.empty is not None:
            raise ValueError("a mask is that of the prompts, and there must be none beside an empty prompt")


def mixed(conditions: Sequence[Condition], weights: Sequence[float]) -> Condition:
    """Returns the mix of what several encoders say of the same prompts, as `mix` does it."""
    first = conditions[0]
    tokens = mix([c.tokens for c in conditions], weights)
    return Condition(
        tokens, first.mask, None if first.empty is None else mix([c.empty for c in conditions], weights)
    )


class Rule(Protocol):
    """How a sampler steps."""

    steps: int

    def time(self, i: int) -> int | float:
        """Returns what the denoiser is told at step i."""
        ...

    def step(self, x: Tensor, prediction: Tensor, i: int) -> Tensor:
        """Returns x (b, ...) of step i at step i + 1."""
        ...

    def denoised(self, x: Tensor, prediction: Tensor, i: int) -> Tensor:
        """Returns the latent (b, ...) that step i foresees (Eq. 4)."""
        ...


@dataclass(frozen=True, eq=False)
class DDIM:
    """DDIM at eta 0 for the models of the Stable Diffusion family.

    `alphas_cumprod` (T) is the training's schedule. trailing visits T - 1, T - 1 - T/n, ..., as TextCraftor
    does; leading the multiples of T // n, `offset` added. The last step ends at alphas_cumprod[0], or at 1
    with `alpha_to_one`.
    """

    alphas_cumprod: Tensor
    steps: int = 25
    prediction: str = "epsilon"
    spacing: str = "trailing"
    offset: int = 1
    alpha_to_one: bool = False

    def __post_init__(self):
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"prediction must be one of {', '.join(PREDICTIONS)}; got {self.prediction!r}")
        if self.spacing not in SPACINGS:
            raise ValueError(f"spacing must be one of {', '.join(SPACINGS)}; got {self.spacing!r}")
        if not 1 <= self.steps <= len(self.alphas_cumprod):
            raise ValueError(f"steps must lie in 1 to {len(self.alphas_cumprod)}, got {self.steps}")

    @cached_property
    def timesteps(self) -> tuple[int, ...]:
        """The timesteps that are visited, falling."""
        whole, n = len(self.alphas_cumprod), self.steps
        if self.spacing == "leading":
            return tuple(i * (whole // n) + self.offset for i in reversed(range(n)))
        return tuple(round(whole - i * whole / n) - 1 for i in range(n))

    @cached_property
    def _scales(self) -> tuple[tuple[float, float], ...]:
        """alpha and sigma at every step, and after the last."""
        kept = [float(self.alphas_cumprod[t]) for t in self.timesteps]
        kept.append(1.0 if self.alpha_to_one else float(self.alphas_cumprod[0]))
        return tuple((a**0.5, (1 - a) ** 0.5) for a in kept)

    def time(self, i: int) -> int:
        return self.timesteps[i]

    def step(self, x: Tensor, prediction: Tensor, i: int) -> Tensor:
        alpha, sigma = self._scales[i + 1]
        return alpha * self.denoised(x, prediction, i) + sigma * self._noise(x, prediction, i)

    def denoised(self, x: Tensor, prediction: Tensor, i: int) -> Tensor:
        alpha, sigma = self._scales[i]
        if self.prediction == "v_prediction":
            return alpha * x - sigma * prediction
        return (x - sigma * prediction) / alpha

    def _noise(self, x: Tensor, prediction: Tensor, i: int) -> Tensor:
        alpha, sigma = self._scales[i]
        return alpha * prediction + sigma * x if self.prediction == "v_prediction" else prediction


@dataclass(frozen=True)
class Flow:
    """Euler's steps of a flow-matching model, at the times of `flow.times`."""

    steps: int = 16
    shift: float = 1.0

    @cached_property
    def _times(self) -> list[float]:
        return flow.times(self.steps, self.shift).tolist()

    def time(self, i: int) -> float:
        return self._times[i]

    def step(self, x: Tensor, prediction: Tensor, i: int) -> Tensor:
        return next(flow.euler(lambda x, t: prediction, x, self._times[i : i + 2]))

    def denoised(self, x: Tensor, prediction: Tensor, i: int) -> Tensor:
        return flow.denoised(x, x.new_full((len(x),), self.time(i)), prediction)


@dataclass(frozen=True)
class Chain:
    """A denoiser under guidance, and the rule that samples from it.

    With `checkpointing` each step is computed again for its gradient: memory holds the insides of one.
    """

    rule: Rule
    ask: Ask
    cfg: float = 7.5
    checkpointing: bool = False

    def sample(self, x: Tensor, before: Condition, after: Condition, *, last: int) -> Tensor:
        """Returns the latents (b, ...) that noise x becomes (Eq. 6): `last` steps, the K of the paper, follow
        `after` and carry gradients, the ones ahead of them follow `before` and carry none.

        Raises ValueError for a number that the rule has not.
        """
        x = self.early(x, before, self._first(last))
        for i in range(self._first(last), self.rule.steps):
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(self.step, x, after, i, use_reentrant=False, preserve_rng_state=False)
            else:
                x = self.step(x, after, i)
        return x

    @torch.no_grad()
    def early(self, x: Tensor, condition: Condition, count: int) -> Tensor:
        """Returns x_t (b, ...) after the first `count` steps, without gradients."""
        for i in range(count):
            x = self.step(x, condition, i)
        return x

    def estimate(self, x: Tensor, condition: Condition, i: int) -> Tensor:
        """Returns the latent (b, ...) that step i foresees from x_t, with gradients (Eq. 4 and 5)."""
        return self.rule.denoised(x, self.predict(x, condition, i), i)

    def step(self, x: Tensor, condition: Condition, i: int) -> Tensor:
        """Returns x_t (b, ...) of step i at step i + 1."""
        return self.rule.step(x, self.predict(x, condition, i), i)

    def predict(self, x: Tensor, condition: Condition, i: int) -> Tensor:
        """Returns the guided prediction (b, ...) (Eq. 3); at cfg 1 the denoiser is asked once."""
        t = torch.full((len(x),), self.rule.time(i), device=x.device)
        cond = self.ask(x, t, condition.tokens, condition.mask).to(x.dtype)
        if self.cfg == 1:
            return cond
        return flow.cfg(cond, self.ask(x, t, condition.empty, None).to(x.dtype), self.cfg)

    def _first(self, last: int) -> int:
        if not 0 <= last <= self.rule.steps:
            raise ValueError(f"last must lie in 0 to the {self.rule.steps} steps of the chain, got {last}")
        return self.rule.steps - last
