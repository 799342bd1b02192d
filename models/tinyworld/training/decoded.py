"""Painted pictures as the little world's autoencoder gives them back, in files beside the painted ones.

What a denoiser makes has gone through the decoder, which paints small things paler than they are; who reads
such pictures should have seen some. The files' names tell the autoencoder: those of another are made anew.

b batch  H W image
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ...files import fingerprint
from ...hub import bundled_weights
from ..autoencoder import AT_ONCE, load_autoencoder
from ..bundled import AUTOENCODER
from ..pictures import VERSION, Shard, cached_chunk, chunks, kept


def decoded(folder: Path, seed: int, count: int, *, accelerator, workers: int = 0) -> list[Shard]:
    """Returns the first `count` pictures of a stream, rounded up to whole chunks, as the bundled autoencoder
    gives them back; what is missing is made first.

    Raises:
        FileNotFoundError: there is no bundled autoencoder.
    """
    weights = bundled_weights(AUTOENCODER)
    autoencoder = load_autoencoder(weights, device=accelerator.device)

    @torch.no_grad()
    def give_back(images: Tensor) -> Tensor:
        with accelerator.autocast():
            return autoencoder.decode(autoencoder.encode(images.to(accelerator.device))).float().cpu()

    def chunk(number: int) -> dict[tuple[int, int], Shard]:
        return kept(
            folder / f"decoded-v{VERSION}-{fingerprint(weights)}-{seed}-{number}.safetensors",
            lambda: {
                size: replace(shard, pixels=through(give_back, shard.pixels))
                for size, shard in cached_chunk(folder, seed, number, workers=workers).items()
            },
        )

    return [shard for number in range(chunks(count)) for shard in chunk(number).values()]


def through(give_back: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    """Returns what is given back of pictures (b, 3, H, W), uint8 as they are; `give_back` has 0..1."""
    parts = [give_back(part.float() / 255) for part in pixels.split(AT_ONCE)]
    return (torch.cat(parts) * 255).round().to(torch.uint8).contiguous()
