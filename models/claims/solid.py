"""Solid black and white: what a schedule that does not end in noise costs, exactly and in trained models.

Convention: brightness is a picture's mean, -1 to 1; R is the spread of the brightness of pictures that no
caption asked for over that of the data.
Source: spec 4.4, 5.6.

b batch  N numbers of a picture
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..mmh_dit import flow
from ..playground.contrast import offset_noise, shrink
from ..playground.edm import EDM, Discrete, Preconditioning, denoiser
from ..playground.edm import loss as edm_loss
from ..playground.samplers import sample
from ..playground.schedules import LAST_ALPHA, karras, sd_alphas_cumprod, zero_terminal_snr
from . import toy
from .drawn import bars, curve
from .experiment import Experiment, Job, Results
from .judgement import Check, Judgement, Line, Panel, Table
from .shapes import Scenes, draw, render
from .shapes_text import captions, random_names
from .statistics import interval

# The exact version: pictures are Gaussian, one direction of them is the brightness.


@dataclass(frozen=True)
class Exact:
    """Pictures whose brightness has the variance of even greys; how closely the formula has to be met, and
    what of the spread SD's last sigma may leave, and EDM's must, in pictures of the most numbers."""

    elements: tuple[int, ...] = (256, 1024)
    variance: float = 1 / 3
    rest: float = 0.25
    pictures: int = 2048
    steps: int = 160
    error: float = 0.05
    lost: float = 0.9
    kept: float = 0.95


def arm_sigma(arm: str) -> float:
    """Returns the sigma in an arm's name."""
    return float(arm.removeprefix("sigma-"))


def exact_denoiser(s: Exact) -> Callable[[Tensor, Tensor], Tensor]:
    """Returns D(x; sigma) of Gaussian pictures (b, N): brightness and the rest have their own shrinking."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        noise = sigma[:, None] ** 2
        mean = x.mean(1, keepdim=True)
        bright = s.variance / (s.variance + noise / x.shape[1])
        return bright * mean + s.rest / (s.rest + noise) * (x - mean)

    return denoise


def measure_exact(job: Job) -> dict:
    """Returns R for each number of elements, sampled, and by the formula."""
    s, sigma_max = job.settings, arm_sigma(job.arm)
    found, wanted = [], []
    for elements in s.elements:
        noise = torch.randn(s.pictures, elements, generator=job.generator(elements))
        x = sample(exact_denoiser(s), noise, karras(s.steps, sigma_max=sigma_max), sampler="heun")
        found.append(float(x.mean(1).std(correction=0)) / s.variance**0.5)
        wanted.append(shrink(elements, s.variance, sigma_max))
    return {"found": found, "wanted": wanted}


def judge_exact(s: Exact, found: Results) -> Judgement:
    """Compares with R = 1 / sqrt(1 + N·s² / sigma_max²), and asks what SD's last sigma and EDM's leave."""
    rows, errors, lines = [], [], []
    sigmas = [arm_sigma(arm) for arm in found.arms]
    for place, elements in enumerate(s.elements):
        columns = [[row[place] for row in found.raw(arm, "found")] for arm in found.arms]
        wanted = [found.raw(arm, "wanted")[0][place] for arm in found.arms]
        for sigma, column, formula in zip(sigmas, columns, wanted, strict=True):
            measured = interval(column)
            errors.append(abs(measured.mean / formula - 1))
            rows.append((f"{elements:,}", f"{sigma:g}", str(measured), f"{formula:.3f}"))
        lines += [
            curve(f"{elements:,} numbers", sigmas, zip(*columns, strict=True)),
            Line("formula", tuple(sigmas), tuple(wanted), formula=True),
        ]
    sd, edm = (interval([row[-1] for row in found.raw(arm, "found")]) for arm in ("sigma-14.61", "sigma-80"))
    checks = (
        Check(
            "R against the formula",
            f"within {s.error:.0%}",
            f"off by {max(errors):.1%}",
            max(errors) <= s.error,
        ),
        Check("R from SD's last sigma, 14.61", f"at most {s.lost:g}", str(sd), sd.high <= s.lost),
        Check("R from EDM's, 80", f"at least {s.kept:g}", str(edm), edm.low >= s.kept),
    )
    table = Table("R", ("numbers in a picture", "sigma_max", "sampled", "formula"), tuple(rows))
    panel = Panel("Spread of brightness that is left", "sigma_max", "R", tuple(lines), log_x=True)
    return Judgement(checks, (table,), (panel,))


# The trained version


@dataclass(frozen=True)
class Trained:
    """The tiny model, the world's solid pictures, and the thresholds."""

    model: toy.Toy
    solid: float = 0.2
    pictures: int = 256
    steps: int = 40
    cfg: float = 1.0
    offset: float = 0.1
    sigma_max: float = 80.0
    p_mean: float = 0.0
    p_std: float = 1.8
    error: float = 0.05
    ratio: float = 0.9
    times: float = 3.0
    formula: float = 0.15


LEARNED = 1.0  # white over black of a network that has learned the words at all
TITLES = {
    "sd": "SD's schedule",
    "sd-offset": "SD's, offset noise",
    "ztsnr": "zero terminal SNR",
    "edm": "EDM",
}


@dataclass(frozen=True)
class Way:
    """How an arm trains and samples: its preconditioning, its sigmas, and what time the network is told."""

    how: Preconditioning
    sigmas: Tensor
    clock: Callable[[Tensor], Tensor]
    offset: float = 0.0


def way(s: Trained, arm: str) -> Way:
    """Returns how an arm trains and samples; SD's kinds visit their timesteps evenly, from the last on."""
    if arm == "edm":
        return edm_way(EDM(sigma_max=s.sigma_max, p_mean=s.p_mean, p_std=s.p_std), s.steps)
    alphas, prediction = sd_alphas_cumprod(), "epsilon"
    if arm == "ztsnr":
        alphas, prediction = zero_terminal_snr(alphas, last=LAST_ALPHA), "v_prediction"
    discrete = Discrete(alphas, prediction)
    places = torch.linspace(len(alphas) - 1, 0, s.steps + 1)[:-1].round().long()
    sigmas = torch.cat((discrete.sigmas[places], discrete.sigmas.new_zeros(1)))
    return Way(
        discrete, sigmas, lambda c_noise: c_noise / len(alphas), s.offset if arm == "sd-offset" else 0.0
    )


def edm_way(how: EDM, steps: int) -> Way:
    """Returns EDM's way; the network is told 0 at sigma_min and 1 at sigma_max."""
    low, high = (torch.tensor(value).log() / 4 for value in (how.sigma_min, how.sigma_max))
    sigmas = karras(steps, sigma_max=how.sigma_max)
    return Way(how, sigmas, lambda c_noise: (c_noise - low) / (high - low))


def world(s: Trained, generator: torch.Generator, *, drop: float) -> tuple[Tensor, list[str]]:
    """Returns pictures (b, 3, H, W) on grounds of any grey, some solid black or white, and captions."""
    count = s.model.batch
    scenes = _greyed(draw(count, generator), generator)
    named = random_names(count, generator)
    named[:, 2] = False
    said = captions(scenes, named, generator)
    images = render(scenes, width=s.model.width, height=s.model.height)
    solid, white, kept = torch.rand(3, count, generator=generator)
    for i in range(count):
        if solid[i] < s.solid:
            images[i], said[i] = (1.0, "solid white") if white[i] < 0.5 else (-1.0, "solid black")
        if kept[i] < drop:
            said[i] = ""
    return images, said


def _greyed(scenes: Scenes, generator: torch.Generator) -> Scenes:
    return scenes._replace(ground=2 * torch.rand(len(scenes.shape), generator=generator) - 1)


def measure(job: Job) -> dict:
    """Returns the error of solid pictures' brightness, R, and R by the formula for this world."""
    s, arm = job.settings, way(job.settings, job.arm)
    model = trained(job, arm)
    count = s.pictures
    blank = _brightness(model, arm, [""] * count, job)
    data = world(replace(s, model=replace(s.model, batch=8 * count)), job.generator(4), drop=0.0)[0].mean(
        (1, 2, 3)
    )
    solid = {
        word: _brightness(model, arm, [f"solid {word}"] * (count // 4), job) for word in ("black", "white")
    }
    misses = [(solid["black"] + 1).abs().mean(), (solid["white"] - 1).abs().mean()]
    numbers = 3 * s.model.width * s.model.height
    return {
        "error": float(sum(misses) / 2),
        "black": float(solid["black"].mean()),
        "white": float(solid["white"].mean()),
        "ratio": float(blank.std() / data.std()),
        "formula": shrink(numbers, float(data.var()), float(arm.sigmas[0])),
    }


def trained(job: Job, arm: Way) -> torch.nn.Module:
    """Returns a model of the world that has learnt in an arm's way."""
    s = job.settings
    model = toy.make(s.model, job.generator(0), device=job.device)

    def loss(step: int) -> Tensor:
        generator = job.generator(1, step)
        images, said = world(s, generator, drop=s.model.drop)
        noise = torch.randn(images.shape, generator=generator)
        if arm.offset:
            noise = offset_noise(noise, job.generator(2, step), amount=arm.offset)
        sigma = arm.how.draw(len(images), generator)
        given = (each.to(job.device) for each in (images, sigma, noise))
        return edm_loss(_network(model, arm, said, job), *given, arm.how)

    toy.train(model, s.model, loss, on_step=lambda step: job.on_step())
    return model


def _network(
    model: torch.nn.Module, arm: Way, said: list[str], job: Job
) -> Callable[[Tensor, Tensor], Tensor]:
    text = toy.text(said, job.settings.model, job.device)
    return lambda x, c_noise: model(x, arm.clock(c_noise.float()), *text)


def _brightness(model: torch.nn.Module, arm: Way, said: list[str], job: Job) -> Tensor:
    """The brightness (b) of pictures of captions."""
    return pictures(model, arm, said, job).mean((1, 2, 3))


@torch.no_grad()
def pictures(model: torch.nn.Module, arm: Way, said: list[str], job: Job) -> Tensor:
    """Returns pictures (b, 3, H, W) of captions in -1..1, on the CPU; the noise is the same in every arm."""
    s, found = job.settings, []
    noise = torch.randn(len(said), 3, s.model.height, s.model.width, generator=job.generator(3))
    for begin in range(0, len(said), 64):
        part = said[begin : begin + 64]
        cond = denoiser(_network(model, arm, part, job), arm.how)
        ask = cond
        if s.cfg != 1:
            uncond = denoiser(_network(model, arm, [""] * len(part), job), arm.how)
            ask = _guided(cond, uncond, s.cfg)
        x = sample(ask, noise[begin : begin + 64].to(job.device), arm.sigmas, sampler="euler")
        found.append(x.clamp(-1, 1).cpu())
    return torch.cat(found)


def _guided(cond: Callable, uncond: Callable, scale: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, sigma: flow.cfg(cond(x, sigma), uncond(x, sigma), scale)


def judge(s: Trained, found: Results) -> Judgement:
    """Asks that SD's schedule misses black and white and shrinks brightness, and that two others do not."""
    every = {
        arm: {k: interval(found.values(arm, k)) for k in ("error", "ratio", "formula")} for arm in found.arms
    }
    checks = []
    for arm in ("ztsnr", "edm"):
        error, ratio = every[arm]["error"], every[arm]["ratio"]
        checks += [
            Check(
                f"{TITLES[arm]}: error of solid pictures",
                f"at most {s.error:g}",
                str(error),
                error.mean <= s.error,
            ),
            Check(f"{TITLES[arm]}: R", f"at least {s.ratio:g}", str(ratio), ratio.mean >= s.ratio),
        ]
    sd = every["sd"]
    times, off = sd["error"].mean / every["edm"]["error"].mean, sd["ratio"].mean - sd["formula"].mean
    apart = interval(
        [w - b for w, b in zip(found.values("edm", "white"), found.values("edm", "black"), strict=True)]
    )
    checks += [
        Check(
            f"{TITLES['sd']}: error over EDM's",
            f"at least {s.times:g} times",
            f"{times:.2f}",
            times >= s.times,
        ),
        Check(
            f"{TITLES['sd']}: R against the formula",
            f"within {s.formula:g}",
            f"{sd['ratio']}, formula {sd['formula'].mean:.3f}",
            abs(off) <= s.formula,
        ),
        Check(
            f"{TITLES['edm']}: brightness of white over black",
            f"at least {LEARNED:g} of 2",
            str(apart),
            apart.mean >= LEARNED,
            control=True,
        ),
    ]
    return Judgement(tuple(checks), (_table(found),), _panels(found))


def _table(found: Results) -> Table:
    keys = ("error", "black", "white", "ratio", "formula")
    rows = [(TITLES[arm], *(str(interval(found.values(arm, key))) for key in keys)) for arm in found.arms]
    header = ("", "error of solid pictures", "solid black", "solid white", "R", "R, formula")
    return Table("Brightness, -1 to 1", header, tuple(rows))


def _panels(found: Results) -> tuple[Panel, ...]:
    panels = []
    for key, title in (("error", "Error of solid black and white"), ("ratio", "Spread of brightness, R")):
        panels.append(bars(title, "", {TITLES[arm]: interval(found.values(arm, key)) for arm in found.arms}))
    return tuple(panels)


EXPERIMENTS = (
    Experiment(
        name="solid-exact",
        group="playground",
        title="Brightness under an exact denoiser",
        claim="A schedule that does not end in noise cannot paint true black and white; EDM's can "
        "(Playground v2.5).",
        how="Gaussian pictures whose exact denoiser is known: sampling begins with noise that tells "
        "nothing of brightness, though at sigma_max it could still be seen. The spread of brightness "
        "shrinks to R = 1/√(1 + N·s²/sigma_max²).",
        settings=Exact(),
        arms=("sigma-14.61", "sigma-80", "sigma-4518"),
        measure=measure_exact,
        judge=judge_exact,
        minutes=0.08,
    ),
    Experiment(
        name="solid",
        group="playground",
        title="Solid black and white",
        claim="A schedule that does not end in noise cannot paint true black and white; EDM's can "
        "(Playground v2.5).",
        how="One tiny network on coloured shapes of 32x32 over grounds of any grey, a fifth solid black "
        "or white and so called, trained under four schedules. EDM's noise is drawn wider than published, "
        "ln sigma of mean 0 and spread 1.8 for -1.2 and 1.2, or this small network hardly sees its largest.",
        settings=Trained(toy.Toy(width=32, height=32, steps=500, batch=48)),
        arms=tuple(TITLES),
        measure=measure,
        judge=judge,
        minutes=2.0,
    ),
)
