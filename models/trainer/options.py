"""The options that every trainer has: a trainer's own dataclass inherits them and adds what its model has."""

import re
from dataclasses import dataclass

from ..options import describe, option


@dataclass(frozen=True)
class FitOptions:
    """How a model is trained, whichever it is."""

    out: str = option("out/trained", "Folder for the model; made when it is missing.", beside=True)
    steps: int = option(10000, "Optimizer steps.", low=1, high=10**7, step=1)
    lr: float = option(1e-3, "Highest learning rate.", low=1e-8, high=1.0, step=1e-5)
    warmup: int = option(200, "Steps until the highest learning rate.", low=0, high=10**6, step=1)
    milestones: str = option(
        "", "Learning rates by step, straight lines between: 0:0,1000:2e-4,9000:1e-5. Empty: --lr, a cosine."
    )
    optimizer: str = option(
        "muon",
        "muon takes Muon's steps for the matrices inside and AdamW's for the rest.",
        choices=("muon", "adamw"),
    )
    beta2: float = option(0.98, "AdamW's second beta; the first is 0.9.", low=0.5, high=0.99999)
    weight_decay: float = option(0.01, "Decay of matrices.", low=0.0, high=1.0, step=0.01)
    clip: float = option(1.0, "Largest norm of the gradient.", low=0.01, high=100.0, step=0.01)
    accumulate: int = option(1, "Batches whose gradients make one step.", low=1, high=10**4, step=1)
    ema: float = option(0.9999, "Decay of the averaged weights; 0 keeps no average.", low=0.0, high=0.999999)
    guard: bool = option(True, "Skip the update of a step whose loss is a spike.")
    precision: str = option("bf16", "Arithmetic of matrix products.", choices=("no", "bf16"))
    seed: int = option(0, "Decides weights, data and their order.", low=0, high=2**31, step=1)
    work: str = option(
        "", "Folder for checkpoint, log and pictures. Empty: training/ beside the model.", beside=True
    )
    save_every: int = option(
        400, "Steps between checkpoints to resume from.", low=1, high=10**7, step=1, beside=True
    )
    log_every: int = option(20, "Steps between lines of the log.", low=1, high=10**7, step=1, beside=True)
    resume: bool = option(True, "Go on from the checkpoint in the folder, where there is one.", beside=True)


def recipe(options: FitOptions) -> dict:
    """Returns the options that change the model, as JSON has them: what a checkpoint must agree with."""
    found = {fact.name: getattr(options, fact.name) for fact in describe(type(options)) if not fact.beside}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}


# From the root of a disk to the last folder: in a value, or behind the `=` of one.
FOLDERS = re.compile(r"(?:^|(?<=[\s=]))(?:[A-Za-z]:|~)?[/\\](?:[^=]*[/\\])?")


def told(options: FitOptions) -> dict:
    """Returns the recipe for a card and a model file: of paths from the root of a disk the names alone, since
    strangers read both."""
    return {k: _told(v) for k, v in recipe(options).items()}


def _told(value):
    if isinstance(value, list):
        return [_told(each) for each in value]
    return FOLDERS.sub("", value) if isinstance(value, str) else value
