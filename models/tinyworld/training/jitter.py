"""Moves pictures by a few pixels and shifts their colours a little, so that no picture is seen twice.

Convention: pictures are (b, 3, h, w) in 0..1; what a picture shows stays what it is.
"""

import torch
from torch import Tensor, nn

SHIFT = 5  # pixels, at most, to each side
TINT = 0.04  # of a channel's brightness, at most


def jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    """Returns each picture (b, 3, h, w) moved over its own border, in slightly other colours."""
    b, _, h, w = images.shape
    wide = nn.functional.pad(images, (SHIFT,) * 4, mode="replicate")
    tops, lefts = torch.randint(2 * SHIFT + 1, (2, b), generator=generator).tolist()
    moved = torch.stack(
        [wide[i, :, y : y + h, x : x + w] for i, (y, x) in enumerate(zip(tops, lefts, strict=True))]
    )
    tint = 1 + TINT * (2 * torch.rand(b, 3, 1, 1, generator=generator) - 1)
    return (moved * tint).clamp(0, 1)
