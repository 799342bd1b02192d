"""The options of the trainer; presets that make the bundled encoders, and TextCraftor's own setting."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ...options import default, option, validate
from ...trainer.options import FitOptions
from ..loss import CLIP, CONSTRAINTS, OFFICIAL
from ..rewards import parse_weights

TINY = "tiny"
PARTS = ("encoder", "denoiser")
METHODS = ("chain", "direct")


@dataclass(frozen=True)
class CraftOptions(FitOptions):
    """How an encoder is tuned. The defaults suit the little world."""

    out: str = default(FitOptions, "out", "out/tuned")
    steps: int = default(FitOptions, "steps", 60)
    lr: float = default(FitOptions, "lr", 1e-4)
    warmup: int = default(FitOptions, "warmup", 10)
    optimizer: str = default(FitOptions, "optimizer", "adamw")
    beta2: float = default(FitOptions, "beta2", 0.99)
    weight_decay: float = default(FitOptions, "weight_decay", 0.0)
    ema: float = default(FitOptions, "ema", 0.0)
    guard: bool = default(FitOptions, "guard", False)
    save_every: int = default(FitOptions, "save_every", 50)
    log_every: int = default(FitOptions, "log_every", 5)
    preset: str = option(
        "",
        "Stands for several options, where they are not named: an encoder that is bundled, or "
        "TextCraftor's own setting.",
        choices=("", "vivid", "detailed", "moonlit", "textcraftor"),
    )
    base: str = option(
        TINY, "tiny is the little world; else a folder of a Stable Diffusion 1 or 2 pipeline of diffusers."
    )
    tune: str = option(
        "encoder", "What is tuned; denoiser comes second, with the encoder frozen.", choices=PARTS
    )
    encoder: str = option("", "File of a tuned encoder, to begin with or to keep. Empty: the base's own.")
    layers: str = option("", "Blocks of the encoder to tune, like 2-3. Empty: all, embeddings and norm too.")
    method: str = option(
        "chain",
        "chain judges finished pictures; direct what one step foresees, as a baseline.",
        choices=METHODS,
    )
    reward: tuple[str, ...] = option(
        (), "Reward and its weight, repeatable: vivid=1; aesthetic=3. None: vivid=1 on the little world."
    )
    models: str = option("", "Folder of the published reward models, each in a folder of its name.")
    clip_weight: float = option(
        8.0, "Weight of the CLIP constraint, which is always on.", low=0.01, high=10**4, step=0.1
    )
    constraint: str = option(
        "frozen", "Text side of the constraint: a frozen encoder's, or the tuned one's.", choices=CONSTRAINTS
    )
    prompts: str = option("", "Text file with a prompt on each line. Empty: the little world's own.")
    batch: int = option(8, "Prompts in a batch of one process.", low=1, high=4096, step=1)
    sampling_steps: int = option(16, "Steps from noise to picture.", low=1, high=1000, step=1)
    grad_steps: int = option(4, "Last steps that carry gradients, the paper's K.", low=0, high=1000, step=1)
    cfg: float = option(3.0, "Guidance of the pictures.", low=0.0, high=30.0, step=0.1)
    use_from: float = option(
        0.4, "Share of the steps that the original encoder keeps in use.", low=0.0, high=1.0, step=0.01
    )
    checkpointing: bool = option(True, "Compute steps again for their gradients: less memory, more time.")
    samples_every: int = option(
        20, "Steps between sheets of pictures.", low=1, high=10**7, step=1, beside=True
    )
    samples: int = option(4, "Prompts of a sheet; 0 makes none.", low=0, high=256, step=1, beside=True)
    measured: int = option(64, "Held-out prompts that the card is measured on.", low=0, high=10**6, step=1)


def _bundled(name: str, **more: Any) -> dict[str, Any]:
    return {"out": f"models/bundled/tiny-clip-{name}", "reward": (f"{name}=1",), **more}


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "vivid": _bundled("vivid", lr=1.35e-4),
    "detailed": _bundled("detailed", lr=2e-4, clip_weight=5.0, use_from=0.6),
    "moonlit": _bundled("moonlit", lr=7.5e-5, clip_weight=4.0, use_from=0.0),
    # Of the paper and its code (specification 3.3): 8 x 8 GPUs with 4 prompts each.
    "textcraftor": {
        "reward": tuple(f"{name}={weight:g}" for name, weight in OFFICIAL.items() if name != CLIP),
        "clip_weight": OFFICIAL[CLIP],
        "milestones": "0:1e-6",
        "beta2": 0.999,
        "weight_decay": 0.01,
        "clip": 100.0,
        "batch": 4,
        "steps": 10000,
        "sampling_steps": 25,
        "grad_steps": 5,
        "cfg": 7.5,
        "precision": "no",
        "save_every": 500,
        "samples_every": 500,
    },
}


def preset_beside(name: str, named: Collection[str]) -> dict[str, Any]:
    """Returns what a preset says beside options that are named; a rate that is named ends its milestones,
    which would stand in for it."""
    rated = "lr" in named or "warmup" in named
    says = PRESETS.get(name, {})
    return {key: says[key] for key in says if key not in named and not (rated and key == "milestones")}


def settled(options: CraftOptions) -> CraftOptions:
    """Returns the options with what their preset says in the place of what is left at its default.

    Raises:
        ValueError: the options do not fit together, or one lies out of bounds.
        TypeError: an option is of another type.
    """
    defaults = {f.name: f.default for f in dataclasses.fields(options)}
    named = [key for key in defaults if getattr(options, key) != defaults[key]]
    options = dataclasses.replace(options, **preset_beside(options.preset, named))
    validate(options)
    if not options.reward and options.base == TINY:
        options = dataclasses.replace(options, reward=("vivid=1",))
    if not options.reward:
        raise ValueError("name a reward: --reward aesthetic=3, or --preset textcraftor")
    if CLIP in parse_weights(options.reward):
        raise ValueError("clip is the constraint, which is always on: give its weight with --clip-weight")
    if options.grad_steps > options.sampling_steps:
        raise ValueError(
            f"grad_steps must be at most sampling_steps {options.sampling_steps}, got {options.grad_steps}"
        )
    if options.tune == "denoiser" and not options.grad_steps:
        raise ValueError("a denoiser learns from the steps that carry gradients: grad_steps must be above 0")
    return options
