"""Flow matching, and the one convention of time: t = 0 is noise, t = 1 is data, velocity = data - noise.

Dimension key: b batch  ... any shape of a sample  m text tokens.

ComfyUI counts the other way: its sigma is 1 - t and its networks answer with noise - data. This is the only
file that converts. x_0 is noise, x_1 data, and every `t` of a batch is (b,).
Sources: Tong et al. 2023 (arXiv 2302.00482), Lipman et al. 2022 (arXiv 2210.02747), Esser et al. 2024
(arXiv 2403.03206); spec 2.6, 2.7.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..interrupt import Interrupted
from ..options import option, validate
from .coupling import COUPLINGS, pair

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x_t (b, ...), t (b)) -> velocity (b, ...)."""

PATHS = ("icfm", "target")
TIMES = ("uniform", "logit_normal")


# The path and its velocity


def path(x_0: Tensor, x_1: Tensor, t: Tensor, *, sigma: float = 0.0, noise: Tensor | None = None) -> Tensor:
    """Returns x_t = t·x_1 + (1 - t)·x_0 + sigma·noise, I-CFM's path; at sigma 0 that of rectified flow.

    Raises ValueError for a sigma above 0 without noise.
    """
    if sigma and noise is None:
        raise ValueError(f"a path of sigma {sigma:g} needs noise beside x_0; give it, or set sigma to 0")
    t = _beside(t, x_1)
    x_t = t * x_1 + (1 - t) * x_0
    return x_t if noise is None else x_t + sigma * noise


def target(x_0: Tensor, x_1: Tensor) -> Tensor:
    """Returns the velocity of `path`: data - noise."""
    return x_1 - x_0


def target_path(x_0: Tensor, x_1: Tensor, t: Tensor, *, sigma: float) -> tuple[Tensor, Tensor]:
    """Returns x_t and the velocity of Lipman's path, which ends at N(x_1, sigma²) instead of x_1.

    x_t = t·x_1 + (1 - (1 - sigma)t)·x_0; (x_1 - (1 - sigma)x_t) / (1 - (1 - sigma)t) is x_1 - (1 - sigma)x_0.
    """
    t = _beside(t, x_1)
    return t * x_1 + (1 - (1 - sigma) * t) * x_0, x_1 - (1 - sigma) * x_0


def _beside(t: Tensor, x: Tensor) -> Tensor:
    """Returns times (b) in the shape (b, 1, ...) that multiplies x (b, ...)."""
    return t.to(x.device, x.dtype).view(-1, *[1] * (x.ndim - 1))


# Training


@dataclass(frozen=True)
class FlowOptions:
    """How a training example is drawn."""

    path: str = option("icfm", "Path from noise to data; target ends in noise of width sigma.", choices=PATHS)
    sigma: float = option(
        0.01,
        "Noise added along the path; much more than 0.01 leaves grain in pictures.",
        low=0,
        high=1,
        step=0.001,
    )
    coupling: str = option(
        "independent", "Which noise goes with which picture of a batch.", choices=COUPLINGS
    )
    times: str = option("uniform", "How the moments along the path are drawn.", choices=TIMES)
    shift: float = option(1.0, "Above 1 more of them are noisy.", low=0.1, high=20, step=0.05)

    def __post_init__(self):
        validate(self)


class Example(NamedTuple):
    """A minibatch to learn from: the model is asked for `velocity` (b, ...) at `x_t` (b, ...) and `t` (b)."""

    x_t: Tensor
    t: Tensor
    velocity: Tensor


def example(
    x_1: Tensor, options: FlowOptions, generator: torch.Generator, *, cond: Tensor | None = None
) -> Example:
    """Returns what a model learns from data x_1 (b, ...); everything is drawn on the CPU.

    `cond` (b) or (b, e) says which samples have equal conditions, for the couplings that ask.
    """
    t = shifted(draw_times(len(x_1), options.times, generator), options.shift).to(x_1.device)
    x_0 = _normal(x_1, generator)
    if options.coupling != "independent":
        x_0 = x_0[pair(x_0, x_1, kind=options.coupling, cond=cond)]
    if options.path == "target":
        x_t, velocity = target_path(x_0, x_1, t, sigma=options.sigma)
        return Example(x_t, t, velocity)
    noise = _normal(x_1, generator) if options.sigma else None
    return Example(path(x_0, x_1, t, sigma=options.sigma, noise=noise), t, target(x_0, x_1))


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator).to(like.device, like.dtype)


def draw_times(count: int, kind: str, generator: torch.Generator) -> Tensor:
    """Returns times (count) in 0..1: uniform, or logit_normal, the logistic function of a normal number."""
    if kind not in TIMES:
        raise ValueError(f"times must be one of {', '.join(TIMES)}; got {kind!r}")
    if kind == "uniform":
        return torch.rand(count, generator=generator)
    return torch.randn(count, generator=generator).sigmoid()


def loss(velocity: Tensor, wanted: Tensor) -> Tensor:
    """Returns the mean squared error over all elements, in float32."""
    return torch.nn.functional.mse_loss(velocity.float(), wanted.float())


# Sampling


def times(steps: int, shift: float = 1.0, *, denoise: float = 1.0) -> Tensor:
    """Returns the times (steps + 1) of a sampler, from 1 - denoise to 1, in float64.

    They are equally far apart at shift 1; more spends steps at the noisy end: sigma = 1 - t becomes
    shift·sigma / (1 + (shift - 1)·sigma).
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if not 0 < denoise <= 1:
        raise ValueError(f"denoise must lie above 0 and at most at 1, got {denoise}")
    if shift <= 0:
        raise ValueError(f"shift must be above 0, got {shift}; 1 changes nothing")
    return shifted(1 - denoise * torch.arange(steps, -1, -1, dtype=torch.float64) / steps, shift)


def shifted(t: Tensor, shift: float) -> Tensor:
    """Returns times moved to the noisy end by a shift above 1; 0 and 1 stay exactly where they are."""
    return t if shift == 1 else t / (1 + (shift - 1) * (1 - t))


def euler(velocity: Velocity, x: Tensor, times: Sequence[float] | Tensor) -> Iterator[Tensor]:
    """Yields x_t (b, ...) at times[1:], from x at times[0]; asks for one velocity a step."""
    ts = _floats(times)
    for t, t_next in pairwise(ts):
        x = x + (t_next - t) * velocity(x, x.new_full((len(x),), t, dtype=torch.float32))
        yield x


def heun(velocity: Velocity, x: Tensor, times: Sequence[float] | Tensor) -> Iterator[Tensor]:
    """Yields x_t (b, ...) at times[1:] by Heun's second-order rule: two velocities a step, the last one."""
    ts = _floats(times)
    for t, t_next in pairwise(ts):
        v = velocity(x, x.new_full((len(x),), t, dtype=torch.float32))
        ahead = x + (t_next - t) * v
        if t_next < 1:
            v = (v + velocity(ahead, x.new_full((len(x),), t_next, dtype=torch.float32))) / 2
            ahead = x + (t_next - t) * v
        x = ahead
        yield x


RULES = {"euler": euler, "heun": heun}


def _floats(times: Sequence[float] | Tensor) -> list[float]:
    return times.tolist() if isinstance(times, Tensor) else list(times)


def denoised(x_t: Tensor, t: Tensor, velocity: Tensor) -> Tensor:
    """Returns what x_t (b, ...) at t (b) would become at this velocity: x_t + (1 - t)·velocity."""
    return x_t + _beside(1 - t, x_t) * velocity


def velocity_to(denoised: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """Returns the velocity that leads from x_t (b, ...) at t (b) below 1 to `denoised`; undoes `denoised`."""
    return (denoised - x_t) / _beside(1 - t, x_t)


def cfg(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
    """Returns the guided velocity uncond + scale·(cond - uncond)."""
    return uncond + scale * (cond - uncond)


def start(noise: Tensor, latent: Tensor | None = None, *, t: float = 0.0, sigma: float = 0.0) -> Tensor:
    """Returns the x_t of t to begin with: t·latent + sqrt((1 - t)² + sigma²)·noise; noise alone at t = 0.

    `sigma` is that of an I-CFM path: samplers have 0 unless another is given, whatever the model was trained
    with, so that they begin as a host's do. Source: the path's marginals, spec 2.6; the default, spec 2.2.
    """
    if latent is None and t > 0:
        raise ValueError(
            f"a latent is needed to begin at t = {t:g} (denoise below 1); give one, or set denoise to 1"
        )
    scaled = ((1 - t) ** 2 + sigma**2) ** 0.5 * noise
    return scaled if latent is None else t * latent + scaled


@dataclass(frozen=True)
class SampleOptions:
    """How a picture is sampled."""

    steps: int = option(28, "Steps from noise to picture; 50 for quality.", low=1, high=1000, step=1)
    cfg: float = option(
        5.0, "How much the text is followed; 1 is the model itself.", low=0, high=30, step=0.1
    )
    sampler: str = option("euler", "Rule of a step; heun asks the model twice.", choices=RULES)
    shift: float = option(1.0, "Above 1 more steps are spent on composition.", low=0.1, high=20, step=0.05)
    denoise: float = option(1.0, "How much of a given picture is made anew.", low=0.01, high=1, step=0.01)
    icfm_sigma: float = option(
        0.0,
        "Widens the first noise to that of a path of this sigma, such as 0.01; 0 is plain noise.",
        low=0,
        high=1,
        step=0.001,
        advanced=True,
    )

    def __post_init__(self):
        validate(self)


class Text(NamedTuple):
    """A text as a condition: `tokens` (b, m, text_dim) or None, `mask` (b, m) True where none is padding."""

    tokens: Tensor | None = None
    mask: Tensor | None = None


EMPTY = Text()


def guided(model: nn.Module, cond: Text, uncond: Text = EMPTY, *, scale: float = 1.0) -> Velocity:
    """Returns the velocity of `model` under guidance; at scale 1 the model is asked once, for `cond`.

    The model computes in its own type, what goes in and out is that of x.
    """
    dtype = next((weight.dtype for weight in model.parameters()), None)

    def ask(x: Tensor, t: Tensor, text: Text) -> Tensor:
        return model(x.to(dtype), t, text.tokens, text.mask).to(x.dtype)

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        if scale == 1:
            return ask(x, t, cond)
        return cfg(ask(x, t, cond), ask(x, t, uncond), scale)

    return velocity


def noise(shape: Sequence[int], seeds: Sequence[int]) -> Tensor:
    """Returns standard normal noise (b, *shape), each of its own seed, drawn on the CPU."""
    draws = [torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(draws)


class Progress(NamedTuple):
    """How far sampling is: `step` of `steps` done, x_t (b, ...) there, and the picture that it foresees."""

    step: int
    steps: int
    x_t: Tensor
    denoised: Tensor


@torch.no_grad()
def sample(
    model: nn.Module,
    noise: Tensor,
    text: Text = EMPTY,
    *,
    negative: Text = EMPTY,
    options: SampleOptions | None = None,
    latent: Tensor | None = None,
    on_step: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Tensor:
    """Returns latents (b, in_ch, h, w) made from standard normal `noise` of that shape.

    `latent` is what is painted over when `options.denoise` is below 1. Raises Interrupted before the next
    question to the model when `should_stop` returns True.
    """
    options = options or SampleOptions()
    ts = times(options.steps, options.shift, denoise=options.denoise)
    velocity = guided(model, text, negative, scale=options.cfg)
    x_t = start(noise, latent, t=float(ts[0]), sigma=options.icfm_sigma)
    for progress in steps(velocity, x_t, ts, sampler=options.sampler, should_stop=should_stop):
        x_t = progress.x_t
        if on_step:
            on_step(progress)
    return x_t


def steps(
    velocity: Velocity,
    x_t: Tensor,
    ts: Tensor,
    *,
    sampler: str = "euler",
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[Progress]:
    """Yields where x_t (b, ...) is after each step from ts[0] to ts[-1], by a rule's name.

    Raises Interrupted before the next question to the model when `should_stop` returns True.
    """
    foreseen: list[Tensor] = []

    def ask(x: Tensor, t: Tensor) -> Tensor:
        if should_stop and should_stop():
            raise Interrupted("sampling was interrupted")
        v = velocity(x, t)
        if not foreseen:  # of a step, the first question is at its beginning
            foreseen.append(denoised(x, t, v))
        return v

    for step, x in enumerate(RULES[sampler](ask, x_t, ts), 1):
        yield Progress(step, len(ts) - 1, x, foreseen[0])
        foreseen.clear()


# EDM's convention


def edm_denoiser(velocity: Velocity) -> Velocity:
    """Returns D(x; sigma) of EDM for x = x_1 + sigma·noise, which is x_t / t at t = 1 / (1 + sigma)."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        t = 1 / (1 + sigma)
        x_t = _beside(t, x) * x
        return denoised(x_t, t, velocity(x_t, t))

    return denoise


# ComfyUI's convention


def to_comfyui_sigma(t: Tensor) -> Tensor:
    """Returns ComfyUI's sigma of flow time t."""
    return 1 - t


def from_comfyui_sigma(sigma: Tensor) -> Tensor:
    """Returns the flow time of ComfyUI's sigma."""
    return 1 - sigma


def to_comfyui_output(velocity: Tensor) -> Tensor:
    """Returns what ComfyUI expects of a network: noise - data, so that x - sigma·output is the picture."""
    return -velocity


def to_comfyui_noise(noise: Tensor, *, t: float, sigma: float) -> Tensor:
    """Returns the noise that ComfyUI, which scales it by 1 - t, makes into that of `start`."""
    return start(noise, torch.zeros_like(noise), t=t, sigma=sigma) / (1 - t) if sigma else noise
