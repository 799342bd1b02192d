"""Why pictures of some models are never black or white, by how much, and what others do about it.

Source: spec 4.4; offset noise, N. Guttenberg 2023; guidance rescale, Lin et al. 2023 (arXiv 2305.08891) eqs.
15, 16.

b batch  c channels  ... any further shape
"""

import torch
from torch import Tensor


def shrink(elements: int, variance: float, sigma_max: float) -> float:
    """Returns R: of an exact denoiser's pictures, the spread of their mean brightness over that of the data.

    `elements` is how many numbers a picture has, `variance` that of the data's mean brightness. At sigma_max
    a picture's brightness still shows in the noise with an SNR of elements·variance / sigma_max²; sampling
    begins with noise that shows none. R = 1 / sqrt(1 + elements·variance·SNR), SNR = 1 / sigma_max².
    """
    if elements < 1 or variance < 0 or sigma_max <= 0:
        got = f"{elements}, {variance} and {sigma_max}"
        raise ValueError(
            f"elements must be at least 1, variance not below 0 and sigma_max above 0, got {got}"
        )
    return (1 + elements * variance / sigma_max**2) ** -0.5


def offset_noise(noise: Tensor, generator: torch.Generator, *, amount: float = 0.1) -> Tensor:
    """Returns noise (b, c, ...) with one more normal number for every sample and channel, times `amount`."""
    offset = torch.randn(noise.shape[:2], generator=generator).to(noise.device, noise.dtype)
    return noise + amount * offset.view(*noise.shape[:2], *[1] * (noise.ndim - 2))


def rescale(guided: Tensor, cond: Tensor, *, amount: float = 0.7) -> Tensor:
    """Returns a guided prediction (b, ...) with its spread moved towards that of `cond`, the unguided one."""
    over = tuple(range(1, guided.ndim))
    spread = cond.std(dim=over, keepdim=True) / guided.std(dim=over, keepdim=True)
    return guided * (amount * spread + 1 - amount)
