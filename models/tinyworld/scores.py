"""The little world's own measures of pictures: its CLIP, what its oracle reads, and features of that.

Convention: images are (b, 3, H, W) in 0..1, scores (b,) in float32, the higher the better. Only the CLIP's
carries gradients to the pixels.

b batch  d features  H W image
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..hub import bundled_folder, bundled_weights
from ..metrics.features import Features
from ..metrics.scorers import Scorer, Similarity
from ..prompt import document
from .bundled import CLIP, ORACLE, WORDS
from .clip import load_clip, read_words
from .following import followed, share, visible_demands
from .oracle import Oracle, load_oracle, read, scores
from .tags import rules

TINY_SCORERS = (CLIP, "tiny-attributes")


@dataclass(frozen=True)
class Attributes:
    """The share of what a prompt's tags demand that the oracle reads off its picture; not a number where
    they demand nothing that can be seen."""

    read: Callable[[Tensor], Sequence[Any]]

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Returns the shares (b,) of images (b, 3, H, W) for their prompts, read as they are for TIPO."""
        wanted = [visible_demands(_tags(prompt)) for prompt in prompts]
        found = [reading.values for reading in self.read(images)]
        return torch.tensor(
            [
                share(followed([reading], [demanded])) if demanded else torch.nan
                for reading, demanded in zip(found, wanted, strict=True)
            ]
        )


def _tags(prompt: str) -> list[str]:
    regions = document.read(prompt, known=lambda text: document.canonical(text) in rules()).regions
    return [document.canonical(tag) for region in regions for tag in region.tags]


def load_tiny_scorer(name: str, *, device: str = "cpu", folder: Path | None = None) -> Scorer:
    """Returns a scorer of TINY_SCORERS from the models in `folder`, the bundled ones.

    Raises:
        ValueError: the name is none of them.
        FileNotFoundError: a model is not there.
    """
    if name == CLIP:
        words = read_words((folder or bundled_folder()) / WORDS)
        clip = load_clip(bundled_weights(CLIP, folder), words)
        clip.model.to(device)
        return Similarity(clip)
    if name == "tiny-attributes":
        oracle = _oracle(device, folder)
        return Attributes(lambda images: read(images, oracle=oracle))
    raise ValueError(f"scorers of the little world are {', '.join(TINY_SCORERS)}; got {name!r}")


def load_tiny_features(*, device: str = "cpu", folder: Path | None = None) -> Features:
    """Returns what the oracle thinks of every value of every attribute, (b, d), as features of pictures.

    Raises:
        FileNotFoundError: the oracle is not there.
    """
    oracle = _oracle(device, folder)

    # One by one: pictures have many sizes, and each is read at its own.
    def prepare(image: Any) -> Tensor:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(device).float() / 255
        return scores(pixels, oracle=oracle)[0].flatten()

    return Features(prepare, lambda rows: rows)


def _oracle(device: str, folder: Path | None) -> Oracle:
    return load_oracle(bundled_weights(ORACLE, folder), device=device)
