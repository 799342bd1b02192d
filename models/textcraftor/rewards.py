"""What pictures are rewarded for: anything that scores pictures of prompts with gradients to their pixels.

Dimension key: b batch  e shared space of pictures and texts  H W image

Convention: images are (b, 3, H, W) in 0..1. TextCraftor's code looks at all of them alike: clamped, averaged
down to 224 x 224 pixels, in CLIP's units (`official`); clamping takes the gradient from saturated pixels.
Source: TextCraftor's code; specification 3.3, 3.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's
SIDE = 224


class Reward(Protocol):
    """A score of pictures, the higher the better."""

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Returns the scores (b,) of images (b, 3, H, W), one prompt each, with gradients to the images."""
        ...


class Contrastive(Protocol):
    """A contrastive model, as `metrics.scorers.Similarity` asks it: vectors of length 1 in a shared space."""

    def images(self, images: Tensor, /) -> Tensor:
        """Returns images (b, 3, H, W) as (b, e)."""
        ...

    def texts(self, prompts: Sequence[str], /) -> Tensor:
        """Returns prompts as (b, e)."""
        ...


def official(images: Tensor, *, side: int = SIDE) -> Tensor:
    """Returns images (b, 3, H, W) as TextCraftor shows them to every reward, (b, 3, side, side)."""
    small = torch.nn.functional.adaptive_avg_pool2d(images.clamp(0, 1), side)
    mean, std = (
        torch.tensor(x, device=images.device, dtype=images.dtype)[:, None, None] for x in (MEAN, STD)
    )
    return (small - mean) / std


@dataclass(frozen=True)
class Column:
    """One of the numbers (b, k) that a network says of images, whatever the prompt."""

    scores: Callable[[Tensor], Tensor]
    index: int

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Returns the scores (b,) of images (b, 3, H, W)."""
        return self.scores(images)[:, self.index]


def parse_weights(texts: Sequence[str]) -> dict[str, float]:
    """Returns the weights of rewards that texts like `vivid=1` name.

    Raises:
        ValueError: a text has another form, or names a reward twice.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, _, weight = text.partition("=")
        try:
            number = float(weight)
        except ValueError:
            raise ValueError(f"a reward must read like vivid=1, got {text!r}") from None
        if not math.isfinite(number):
            raise ValueError(f"the weight of a reward must be finite, got {text!r}")
        if not name or name in found:
            raise ValueError(f"each reward must be named once, got {text!r}")
        found[name] = number
    return found
