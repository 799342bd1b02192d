"""Scores pictures by how they please, and says so in their captions.

Convention: a score is about 1 to 10; a bound belongs to the tag above it, so 6.0 is excellent and 5.2 is
good.
Source: spec 2.9; Aesthetic Predictor V2.5 (discus0434), of which `metrics.heads` says more.

b batch  n items  e width of an embedding
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...metrics.heads import load_head
from ...options import option
from .embed import NOT_FINITE, Vision, load_vision
from .images import LeftOut
from .steps import Candidate, Everyone, Reader, Step
from .work import Work

EXCELLENT, GOOD, AVERAGE = "excellent score", "good score", "average score"


@dataclass(frozen=True)
class ScoreOptions:
    """From which score on a caption gets a tag; below the last a picture is dropped."""

    excellent: float = option(6.0, "Least excellent score.", low=-100.0, high=100.0)
    good: float = option(5.2, "Least good score.", low=-100.0, high=100.0)
    average: float = option(4.0, "Least average score; pictures below are dropped.", low=-100.0, high=100.0)

    def __post_init__(self):
        if not self.excellent >= self.good >= self.average:
            bounds = f"{self.excellent:g}, {self.good:g}, {self.average:g}"
            raise ValueError(f"excellent, good and average must descend, got {bounds}; order them")


def score_tag(score: float, options: ScoreOptions | None = None) -> str | None:
    """Returns the tag of a score, or None where the picture is dropped.

    Raises:
        ValueError: the score is no finite number.
    """
    options = options or ScoreOptions()
    if not math.isfinite(score):
        raise ValueError(f"a score must be a finite number, got {score}")
    bounds = ((options.excellent, EXCELLENT), (options.good, GOOD), (options.average, AVERAGE))
    return next((tag for bound, tag in bounds if score >= bound), None)


def tagged(caption: str, tag: str | None) -> str:
    """Returns `{caption}, {tag}`; an empty part is left out."""
    return ", ".join(filter(None, (caption, tag)))


@dataclass(frozen=True)
class Score:
    """The step that scores all items."""

    reader: Reader
    vision: Vision
    head: nn.Sequential

    @torch.inference_mode()
    def compute(self, read: Sequence[np.ndarray]) -> list[Any]:
        scores = self.head(self.vision.embed(read)).squeeze(-1)  # (b,)
        return [score if score.isfinite() else LeftOut(NOT_FINITE) for score in scores]

    def pack(self, done: Sequence[tuple[Candidate, Tensor]]) -> tuple[dict[str, Tensor], dict]:
        scores = torch.tensor([float(score) for _, score in done], dtype=torch.float32)
        return {
            "places": torch.tensor([who.place for who, _ in done], dtype=torch.int64),
            "scores": scores,
        }, {}


def score_step(
    work: Work, folder: Path, head: Path, *, device: str = "auto", precision: str = "float32"
) -> Step:
    """Returns the step that scores all items with the SigLIP model of `folder` and the layers of `head`.

    Raises:
        ValueError: the layers are for embeddings of another width.
    """
    vision, layers = load_vision(folder, device=device, precision=precision), load_head(head)
    width, wanted = vision.model.config.hidden_size, layers[0].in_features
    if width != wanted:
        raise ValueError(
            f"{head} is for embeddings of width {wanted}, {folder} makes {width}; use its own model"
        )
    return Score(Everyone(work, vision.prepare), vision, layers)
