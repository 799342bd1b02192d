"""EDM's preconditioning: one method gives the scalings; loss and denoiser are each an equation over it.

Convention: sigma (b) is the standard deviation of the noise in x = x_0 + sigma·noise, in units of the data. A
network takes (c_in·x, c_noise) and gives F; D(x; sigma) = c_skip·x + c_out·F(c_in·x; c_noise). The loss is in
network units, |F - (x_0 - c_skip·x)/c_out|²; for EDM that is its weighted loss, for epsilon and v prediction
the plain one.
Sources: Karras et al. 2022 (arXiv 2206.00364) eqs. 7, 8 and table 1; Playground v2.5 (arXiv 2402.17245); its
scheduler_config; spec 4.2, 4.3.

b batch  ... any shape of a sample
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .latents import SIGMA_DATA
from .schedules import RHO, SIGMA_MAX, SIGMA_MIN, sigmas_of

Network = Callable[[Tensor, Tensor], Tensor]
"""(c_in·x (b, ...), c_noise (b)) -> F (b, ...)."""

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(x (b, ...), sigma (b)) -> what x would be without noise (b, ...)."""

PREDICTIONS = ("epsilon", "v_prediction")


class Scalings(NamedTuple):
    """The four numbers (b) around a network."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor


class Preconditioning(Protocol):
    """What a network sees of x and sigma, what its answer means, and which sigmas it learns at."""

    def scalings(self, sigma: Tensor, /) -> Scalings: ...

    def draw(self, count: int, generator: torch.Generator, /) -> Tensor: ...


@dataclass(frozen=True)
class EDM:
    """EDM's preconditioning and training noise; the defaults are Playground v2.5's.

    Training noise is ln sigma ~ N(p_mean, p_std²). `sigma_data` is the standard deviation of the data.
    """

    sigma_data: float = SIGMA_DATA
    sigma_min: float = SIGMA_MIN
    sigma_max: float = SIGMA_MAX
    rho: float = RHO
    p_mean: float = -1.2
    p_std: float = 1.2

    def __post_init__(self):
        if not (self.sigma_data > 0 and 0 < self.sigma_min < self.sigma_max and self.rho > 0):
            raise ValueError(f"sigmas and rho must be above 0 and sigma_min below sigma_max, got {self}")

    def scalings(self, sigma: Tensor) -> Scalings:
        """Returns c_skip, c_out, c_in and c_noise (b) of sigma (b): table 1 of the paper."""
        total = sigma**2 + self.sigma_data**2
        return Scalings(
            c_skip=self.sigma_data**2 / total,
            c_out=sigma * self.sigma_data / total.sqrt(),
            c_in=1 / total.sqrt(),
            c_noise=self.time(sigma),
        )

    def time(self, sigma: Tensor) -> Tensor:
        """Returns c_noise (b), by which the network knows sigma (b)."""
        return sigma.log() / 4

    def sigma(self, time: Tensor) -> Tensor:
        """Returns the sigma (b) that the network knows by a time (b)."""
        return (4 * time).exp()

    def weight(self, sigma: Tensor) -> Tensor:
        """Returns λ (b), the weight of |D - x_0|² that makes the loss one in network units: 1 / c_out²."""
        return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns sigmas (count) to train with."""
        return (self.p_mean + self.p_std * torch.randn(count, generator=generator)).exp()


PLAYGROUND = EDM()


@dataclass(frozen=True, eq=False)
class Discrete:
    """A schedule of timesteps, as Stable Diffusion has one, with its network's answer, in terms of sigma.

    `alphas_cumprod` (n) falls from near 1 and ends above 0; timesteps are 0..n-1, and those of other sigmas
    lie between them as ln sigma does. Training draws timesteps evenly.
    """

    alphas_cumprod: Tensor
    prediction: str = "epsilon"

    def __post_init__(self):
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"prediction must be one of {', '.join(PREDICTIONS)}; got {self.prediction!r}")
        if not float(self.alphas_cumprod[-1]) > 0:
            raise ValueError("alphas_cumprod must end above 0, got 0; take LAST_ALPHA for zero terminal SNR")

    @cached_property
    def sigmas(self) -> Tensor:
        """The sigmas (n) of the timesteps."""
        return sigmas_of(self.alphas_cumprod)

    def scalings(self, sigma: Tensor) -> Scalings:
        """Returns c_skip, c_out, c_in and c_noise, the timestep, (b) of sigma (b)."""
        total = sigma**2 + 1
        c_in, c_noise = 1 / total.sqrt(), self.timestep(sigma)
        if self.prediction == "epsilon":
            return Scalings(torch.ones_like(sigma), -sigma, c_in, c_noise)
        return Scalings(1 / total, -sigma * c_in, c_in, c_noise)

    def timestep(self, sigma: Tensor) -> Tensor:
        """Returns the timesteps (b), fractions included, of sigma (b)."""
        logs, wanted = self.sigmas.log().to(sigma), sigma.log()
        above = torch.searchsorted(logs, wanted).clamp(1, len(logs) - 1)
        low, high = logs[above - 1], logs[above]
        return above - 1 + ((wanted - low) / (high - low)).clamp(0, 1)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns sigmas (count) to train with."""
        steps = torch.randint(len(self.alphas_cumprod), (count,), generator=generator)
        return self.sigmas[steps].float()


def denoise(network: Network, x: Tensor, sigma: Tensor, how: Preconditioning) -> Tensor:
    """Returns D(x; sigma) (b, ...) of x (b, ...) and sigma (b): eq. 7."""
    c_skip, c_out, c_in, c_noise = how.scalings(sigma.to(x.device))
    return beside(c_skip, x) * x + beside(c_out, x) * network(beside(c_in, x) * x, c_noise)


def denoiser(network: Network, how: Preconditioning) -> Denoise:
    """Returns the network as samplers ask it."""
    return lambda x, sigma: denoise(network, x, sigma, how)


def target(x_0: Tensor, x: Tensor, sigma: Tensor, how: Preconditioning) -> Tensor:
    """Returns what the network should answer (b, ...) at x = x_0 + sigma·noise: eq. 8."""
    c_skip, c_out, *_ = how.scalings(sigma)
    return (x_0 - beside(c_skip, x) * x) / beside(c_out, x)


def loss(network: Network, x_0: Tensor, sigma: Tensor, noise: Tensor, how: Preconditioning) -> Tensor:
    """Returns the mean squared error of the network's answers for data x_0 (b, ...), in float32."""
    x = x_0 + beside(sigma, x_0) * noise
    _, _, c_in, c_noise = how.scalings(sigma.to(x.device))
    answer = network(beside(c_in, x) * x, c_noise)
    return torch.nn.functional.mse_loss(answer.float(), target(x_0, x, sigma, how).float())


def beside(values: Tensor, x: Tensor) -> Tensor:
    """Returns values (b) in the shape (b, 1, ...) and type that multiply x (b, ...)."""
    return values.to(x.device, x.dtype).view(-1, *[1] * (x.ndim - 1))
