"""Noise schedules: EDM's, Stable Diffusion's, and the latter with a last step that is nothing but noise.

Convention: sigmas fall, are float64, and end in 0 where a picture is to be whole; alphas_cumprod is of
timesteps 0..n-1 and falls too, so its sigmas rise. sigma² = (1 - alpha) / alpha, and the SNR is 1 / sigma².
Sources: Karras et al. 2022 (arXiv 2206.00364) eq. 5; Lin et al. 2023 (arXiv 2305.08891) algorithm 1;
spec 4.2, 4.3, 4.4.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..options import option, validate

SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 80.0, 7.0  # Playground v2.5's
LAST_ALPHA = 4.8973451890853435e-08  # for samplers that need a finite last sigma, 4518.76; ComfyUI's number


def karras(
    steps: int,
    *,
    sigma_min: float = SIGMA_MIN,
    sigma_max: float = SIGMA_MAX,
    rho: float = RHO,
    denoise: float = 1.0,
) -> Tensor:
    """Returns the sigmas (steps + 1) from sigma_max down to sigma_min, and 0.

    Below denoise 1 they are the last of a longer schedule of steps / denoise steps, as ComfyUI has it.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if not 0 < denoise <= 1:
        raise ValueError(f"denoise must lie above 0 and at most at 1, got {denoise}")
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"sigma_min must lie above 0 and below sigma_max, got {sigma_min} and {sigma_max}")
    ramp = torch.linspace(0, 1, int(steps / denoise), dtype=torch.float64)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    sigmas = torch.cat([(high + ramp * (low - high)) ** rho, ramp.new_zeros(1)])
    return sigmas[-(steps + 1) :]


def exponential(count: int, *, sigma_min: float = 0.002, sigma_max: float = 80.0) -> Tensor:
    """Returns sigmas (count) from sigma_max down to sigma_min, evenly spaced in their logarithms."""
    ramp = torch.linspace(0, 1, count, dtype=torch.float64)
    return sigma_max * (sigma_min / sigma_max) ** ramp


def sd_alphas_cumprod(count: int = 1000, *, beta_start: float = 0.00085, beta_end: float = 0.012) -> Tensor:
    """Returns alphas_cumprod (count) of Stable Diffusion and SDXL, whose last SNR is 0.00468."""
    betas = torch.linspace(beta_start**0.5, beta_end**0.5, count, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0)


def zero_terminal_snr(alphas_cumprod: Tensor, *, last: float = 0.0) -> Tensor:
    """Returns alphas_cumprod (n) with its roots moved and stretched: the first stays, the last is `last`.

    Only for v prediction: epsilon says nothing of a picture that is all noise. Take LAST_ALPHA where sigmas
    must be finite.
    """
    roots = alphas_cumprod.sqrt()
    moved = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2
    moved[-1] = last
    return moved


def sigmas_of(alphas_cumprod: Tensor) -> Tensor:
    """Returns sigma (n) of alphas_cumprod (n)."""
    return ((1 - alphas_cumprod) / alphas_cumprod).sqrt()


@dataclass(frozen=True)
class ScheduleOptions:
    """EDM's schedule; the defaults are Playground v2.5's."""

    steps: int = option(50, "Steps from noise to picture; 25 show much of it.", low=1, high=1000, step=1)
    sigma_max: float = option(SIGMA_MAX, "Noise to begin with.", low=0.01, high=10000, step=0.01)
    sigma_min: float = option(SIGMA_MIN, "Last noise above none.", low=0.0001, high=10, step=0.0001)
    rho: float = option(
        RHO, "How much steps gather at low noise; 1 is even.", low=0.1, high=100, step=0.1, advanced=True
    )
    shift: float = option(
        1.0, "Multiplies all sigmas; Resolution Shift says how much.", low=0.01, high=100, step=0.01
    )
    denoise: float = option(1.0, "How much of a given picture is made anew.", low=0.01, high=1, step=0.01)

    def __post_init__(self):
        validate(self)


def schedule(options: ScheduleOptions) -> Tensor:
    """Returns the sigmas (steps + 1) that the options ask for."""
    facts = {"sigma_min": options.sigma_min, "sigma_max": options.sigma_max, "rho": options.rho}
    return options.shift * karras(options.steps, denoise=options.denoise, **facts)
