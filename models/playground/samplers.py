"""Samplers over sigmas: Euler, Heun's second-order rule and DPM++ 2M, each a loop that yields x.

Convention: `denoise` gives D(x; sigma); sigmas fall, and x at sigmas[0] is data plus noise of that width. A
step to 0 gives D itself.
Sources: Karras et al. 2022 (arXiv 2206.00364) algorithm 2 without churn; Lu et al. 2022 (arXiv 2211.01095)
algorithm 2; spec 4.2.

b batch  ... any shape of a sample
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ..interrupt import Interrupted
from .edm import Denoise

Sigmas = Sequence[float] | Tensor


def euler(denoise: Denoise, x: Tensor, sigmas: Sigmas) -> Iterator[Tensor]:
    """Yields x (b, ...) at sigmas[1:], from x at sigmas[0]; asks once a step."""
    for sigma, sigma_next in pairwise(_floats(sigmas)):
        d = (x - _ask(denoise, x, sigma)) / sigma
        x = x + (sigma_next - sigma) * d
        yield x


def heun(denoise: Denoise, x: Tensor, sigmas: Sigmas) -> Iterator[Tensor]:
    """Yields x (b, ...) at sigmas[1:]; asks twice a step, and once where a step ends in 0."""
    for sigma, sigma_next in pairwise(_floats(sigmas)):
        d = (x - _ask(denoise, x, sigma)) / sigma
        ahead = x + (sigma_next - sigma) * d
        if sigma_next > 0:
            d = (d + (ahead - _ask(denoise, ahead, sigma_next)) / sigma_next) / 2
            ahead = x + (sigma_next - sigma) * d
        x = ahead
        yield x


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Sigmas) -> Iterator[Tensor]:
    """Yields x (b, ...) at sigmas[1:]; asks once a step and looks back at the answer before."""
    before, h_before = None, 0.0
    for sigma, sigma_next in pairwise(_floats(sigmas)):
        now = _ask(denoise, x, sigma)
        if sigma_next == 0:
            x = now
        else:
            h = math.log(sigma / sigma_next)
            ahead = now if before is None else now + h / (2 * h_before) * (now - before)
            x = sigma_next / sigma * x - math.expm1(-h) * ahead
            before, h_before = now, h
        yield x


RULES = {"euler": euler, "heun": heun, "dpmpp_2m": dpmpp_2m}


def _ask(denoise: Denoise, x: Tensor, sigma: float) -> Tensor:
    # Of half precision the square of a sigma above 255 is infinite, and ln sigma is too coarse.
    kind = torch.promote_types(x.dtype, torch.float32)
    return denoise(x, x.new_full((len(x),), sigma, dtype=kind))


def _floats(sigmas: Sigmas) -> list[float]:
    return sigmas.tolist() if isinstance(sigmas, Tensor) else list(sigmas)


class Progress(NamedTuple):
    """How far sampling is: `step` of `steps` done, x (b, ...) there, and the picture foreseen before it."""

    step: int
    steps: int
    x: Tensor
    denoised: Tensor


@torch.no_grad()
def sample(
    denoise: Denoise,
    noise: Tensor,
    sigmas: Sigmas,
    *,
    sampler: str = "dpmpp_2m",
    latent: Tensor | None = None,
    on_step: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Tensor:
    """Returns data (b, ...) made from standard normal `noise` of that shape, painted over `latent` if given.

    Raises:
        ValueError: there is no such sampler.
        Interrupted: `should_stop` returned True before a question to the network.
    """
    if sampler not in RULES:
        raise ValueError(f"sampler must be one of {', '.join(RULES)}; got {sampler!r}")
    levels = _floats(sigmas)
    foreseen: list[Tensor] = []

    def asked(x: Tensor, sigma: Tensor) -> Tensor:
        if should_stop and should_stop():
            raise Interrupted("sampling was interrupted")
        answer = denoise(x, sigma)
        if not foreseen:  # of a step, the first question is at its beginning
            foreseen.append(answer)
        return answer

    x = levels[0] * noise if latent is None else latent + levels[0] * noise
    for step, at in enumerate(RULES[sampler](asked, x, levels), 1):
        x = at
        if on_step:
            on_step(Progress(step, len(levels) - 1, x, foreseen[0]))
        foreseen.clear()
    return x
