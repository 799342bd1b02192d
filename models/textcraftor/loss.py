"""The loss that tunes an encoder: weighted rewards, and always the CLIP constraint against collapse.

Dimension key: b batch  e shared space of CLIP

Source: TextCraftor (arXiv 2403.18978), Eq. 7 and 8, and its code, which differ: specification 3.3.3.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

CONSTRAINTS = ("frozen", "self")
"""frozen compares pictures with what another, frozen text tower says (TextCraftor's code); self with what the
tuned one says (its Eq. 8), which can move towards the pictures instead."""

CLIP = "clip"
"""How the constraint is called among the rewards."""

OFFICIAL = {"aesthetic": 3.0, "hps": 100.0, "pick": 1.0, CLIP: 50.0}
"""The weights in TextCraftor's code: they bring the four rewards to comparable scale."""


def total(scores: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Returns the negative weighted sum of the means of scores (b,), a scalar (Eq. 7).

    Raises:
        ValueError: a score has no weight, or the other way round.
    """
    if scores.keys() != weights.keys():
        raise ValueError(f"every reward needs its weight, got {sorted(scores)} and {sorted(weights)}")
    return -sum(weights[name] * score.float().mean() for name, score in scores.items())


def cosine(images: Tensor, texts: Tensor) -> Tensor:
    """Returns the cosine (b,) of pictures and texts in a shared space, (b, e) each (Eq. 8)."""
    return torch.nn.functional.cosine_similarity(images.float(), texts.float(), dim=-1)
