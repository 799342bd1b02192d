"""TextCraftor on ColourShapes: every arm tunes one base with the trainer's own loss, and is measured alike.

Source: specification 5.5, trained version.

b batch  H W pixels
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

import torch
from torch import Tensor, nn

from ..metrics.scorers import Similarity
from ..textcraftor.training.gallery import GRID, Gallery
from ..textcraftor.training.measure import spread
from ..textcraftor.training.options import CraftOptions
from ..textcraftor.training.tuning import Batch, Tuning
from . import shapes_oracle, shapes_text, toy
from . import textcraftor_shapes as shapes
from .experiment import Job
from .shapes import draw

BASE, CLIP, REWARD, JUDGE = "base", "clip", "reward", "judge"
CHUNK = 32  # prompts painted together


@dataclass(frozen=True)
class ShapesSettings:
    """Sizes, and what was wanted before the run."""

    base_steps: int = 2400
    taste_steps: int = 1500
    clip_steps: int = 800
    layers: int = 2
    ddim_steps: int = 25
    grad_steps: int = 5
    use_from: float = 0.4
    cfg: float = 3.0
    steps: int = 50
    batch: int = 16
    lr: float = 2e-3
    clip_weight: float = 4.0
    measured: int = 96
    least_captions: float = 0.8
    least_gain: float = 0.5
    least_order: float = 0.9
    collapsed_captions: float = 0.2
    collapsed_diversity: float = 0.3
    kept_captions: float = 0.05
    kept_diversity: float = 0.1
    kept_at_one: float = 0.95
    least_judged: float = 0.5
    most_direct: float = 0.5


@dataclass(frozen=True)
class Arm:
    """What an arm rewards, and how it is trained; `last` 0 is the K of the settings."""

    rewards: tuple[str, ...]
    constrained: bool = True
    method: str = "chain"
    tune: str = "encoder"
    last: int = 0


ARMS: Mapping[str, Arm] = {
    "saturation": Arm(("saturation",)),
    "size": Arm(("size",)),
    "both": Arm(shapes.KINDS),
    "saturation-free": Arm(("saturation",), constrained=False),
    "size-free": Arm(("size",), constrained=False),
    "both-free": Arm(shapes.KINDS, constrained=False),
    "direct": Arm(("saturation",), method="direct"),
    "denoiser": Arm(("saturation",), tune="denoiser"),
    "k1": Arm(("saturation",), last=1),
    "k3": Arm(("saturation",), last=3),
    "k10": Arm(("saturation",), last=10),
    "k25": Arm(("saturation",), last=25),
}
MIX = "mix"
PAIRS = tuple((a, b) for a in GRID for b in GRID if a + b <= 1)
"""The weights of the two encoders of the mix; the original one has the rest."""


@dataclass(frozen=True)
class World:
    """What all arms of a seed share."""

    base: shapes.ShapesBase
    clip: shapes.Clip
    reward: shapes.Eye
    judge: shapes.Eye


def open_world(job: Job) -> World:
    """Returns the trained models of a seed."""
    s, size = job.settings, toy.Toy()
    large, small = replace(size, steps=s.base_steps), shapes.shorter(size, s.taste_steps)
    base = shapes.fresh_base(size, s.layers, job.generator(1))
    both = nn.ModuleDict({"encoder": base.encoder, "denoiser": base.denoiser})

    def train_base() -> Mapping[str, Tensor]:
        made = shapes.train_base(large, s.layers, job.generator(1))
        return nn.ModuleDict({"encoder": made.encoder, "denoiser": made.denoiser}).state_dict()

    both.load_state_dict(job.tensors(BASE, train_base))
    nets = {
        name: _filled(
            job, name, shapes.Eye(len(shapes.KINDS)), lambda n=n: shapes.train_taste(small, job.generator(n))
        )
        for n, name in ((2, REWARD), (3, JUDGE))
    }
    clip = _filled(
        job,
        CLIP,
        shapes.Clip(size.word),
        lambda: shapes.train_clip(shapes.shorter(size, s.clip_steps), job.generator(4)),
    )
    for part in both.values():
        part.requires_grad_(False).eval().to(job.device)
    return World(base, clip.to(job.device), nets[REWARD].to(job.device), nets[JUDGE].to(job.device))


def _filled(job: Job, name: str, model: nn.Module, train) -> nn.Module:
    model.load_state_dict(job.tensors(name, lambda: train().state_dict()))
    return model.eval().requires_grad_(False)


def craft_options(settings: ShapesSettings, arm: Arm) -> CraftOptions:
    """Returns an arm in the words of the trainer."""
    return CraftOptions(
        tune=arm.tune,
        method=arm.method,
        clip_weight=settings.clip_weight if arm.constrained else 0.0,
        sampling_steps=settings.ddim_steps,
        grad_steps=arm.last or settings.grad_steps,
        cfg=settings.cfg,
        use_from=settings.use_from,
        checkpointing=False,
    )


def tune(job: Job, world: World, name: str) -> nn.Module:
    """Returns what an arm tunes, trained once for all that use it."""
    arm = ARMS[name]
    model = copy.deepcopy(world.base.encoder if arm.tune == "encoder" else world.base.denoiser)
    state = job.tensors(f"tuned-{name}", lambda: _tuned(job, world, arm, model).state_dict())
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)


def _tuned(job: Job, world: World, arm: Arm, model: nn.Module) -> nn.Module:
    s = job.settings
    every = shapes.tastes(world.reward)
    tuning = Tuning(
        world.base,
        {name: every[name] for name in arm.rewards},
        dict.fromkeys(arm.rewards, 1.0),
        Similarity(world.clip),
        craft_options(s, arm),
        world.base.encoder,
    )
    weights = list(model.requires_grad_(True).parameters())
    optimizer = torch.optim.AdamW(weights, lr=s.lr, weight_decay=0.0)
    generator = job.generator(5)
    for _ in range(s.steps):
        batch = prompts(s.batch, generator)
        tuning.loss(model, batch, generator)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        job.on_step()
    return model


def prompts(count: int, generator: torch.Generator) -> Batch:
    """Returns captions of random scenes that name everything."""
    scenes = draw(count, generator)
    named = torch.ones(count, len(shapes_text.ATTRIBUTES), dtype=torch.bool)
    return Batch(numbers=torch.arange(count), prompts=shapes_text.captions(scenes, named, generator))


def measure(job: Job) -> dict:
    """Returns what is measured of an arm: at each w of the grid, or for the mix at each pair of weights."""
    world = open_world(job)
    if job.arm == MIX:
        tuned = [tune(job, world, name) for name in shapes.KINDS]
        return curves(
            job, world, Gallery(world.base, tuned, craft_options(job.settings, ARMS["size"])), PAIRS
        )
    arm, model = ARMS[job.arm], tune(job, world, job.arm)
    options = craft_options(job.settings, arm)
    if arm.tune == "encoder":
        found = curves(job, world, Gallery(world.base, (model,), options), [(w,) for w in GRID])
    else:
        before = curves(job, world, Gallery(world.base, (), options), [()])
        after = curves(job, world, Gallery(world.base, (), options, model), [()])
        found = {key: before[key] + after[key] for key in before}
    return found | gains(found, arm.rewards)


@torch.no_grad()
def curves(
    job: Job, world: World, gallery: Gallery, weights: Sequence[Sequence[float]]
) -> dict[str, list[float]]:
    """Returns for every quantity its mean at each of the weights, over held-out captions."""
    scenes = draw(job.settings.measured, job.generator(6))
    named = torch.ones(len(scenes.size), len(shapes_text.ATTRIBUTES), dtype=torch.bool)
    captions = shapes_text.captions(scenes, named, job.generator(7))
    columns: list[list[Tensor]] = [[] for _ in weights]
    for start in range(0, len(captions), CHUNK):
        chosen = captions[start : start + CHUNK]
        seeds = [job.seed * 10**6 + start + k for k in range(len(chosen))]
        for column, images in zip(columns, gallery.sweep(chosen, seeds, weights), strict=True):
            column.append(images)
    rows = [_looked_at(world, torch.cat(column), captions, scenes) for column in columns]
    return {key: [row[key] for row in rows] for key in rows[0]}


def _looked_at(world: World, images: Tensor, captions: list[str], scenes) -> dict[str, float]:
    reading = shapes_oracle.read(images * 2 - 1)
    found = {
        "captions": shapes_oracle.accuracy(reading, scenes),
        "diversity": spread(shapes_oracle.RandomNet()(images * 2 - 1)),
        "alignment": float(Similarity(world.clip).score(images, captions).mean()),
        "true saturation": float(shapes.saturation(images).mean()),
        "true size": float(reading.size.mean()),
    }
    for who, net in ((REWARD, world.reward), (JUDGE, world.judge)):
        scores = net(images).T.tolist()
        for kind, values in zip(shapes.KINDS, scores, strict=True):
            found[f"{who} {kind}"] = mean(values)
            found[f"{who} {kind} spread"] = stdev(values)
    return found


def gains(found: Mapping[str, Sequence[float]], rewards: Sequence[str]) -> dict[str, float]:
    """Returns the mean gain of the arm's rewards in standard deviations of the base's pictures, by the net
    that was to be pleased and by the other, and what is lost of captions and diversity."""

    def gain(who: str) -> float:
        keys = [f"{who} {kind}" for kind in rewards]
        return mean((found[key][-1] - found[key][0]) / max(1e-6, found[f"{key} spread"][0]) for key in keys)

    return {
        "gain": gain(REWARD),
        "judged": gain(JUDGE),
        "lost captions": found["captions"][0] - found["captions"][-1],
        "lost diversity": 1 - found["diversity"][-1] / found["diversity"][0],
    }
