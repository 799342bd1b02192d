"""Encodes the kept pictures into latents once, at the sizes of a stage.

Convention: latents are (16, h, w) as `models/latents.py` describes them, float16 on disk; a part has one
tensor a size, `512x512` (n, 16, 64, 64), and `places512x512` (n,), the items of its rows; of each row a line
of JSON says key, captions and which part of the picture it shows. Source: spec 2.2, 2.9.5.

b batch  n items of a size  h w latent  H W picture
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...latents import CHANNELS, SCALE, SHIFT
from ...metrics.pretrained import load_pretrained
from .embed import NOT_FINITE
from .images import LeftOut, open_image, read_bytes
from .selection import Selection
from .stages import Cut, Stage, cut, plan
from .steps import Candidate, Step
from .work import Work

Encode = Callable[[Tensor], Tensor]  # images (b, 3, H, W) in 0..1 -> scaled latents (b, 16, h, w)


def size_name(size: tuple[int, int]) -> str:
    """Returns `512x448` of (512, 448), width before height."""
    return f"{size[0]}x{size[1]}"


@dataclass(frozen=True)
class Cuts:
    """Reads the kept pictures, cut for a stage: bytes (H, W, 3) and how they were cut."""

    work: Work
    stage: Stage
    seed: int = 0

    def candidates(self, part: int) -> tuple[list[Candidate], dict[str, list[str]]]:
        return Selection(self.work).choose(part)

    def read(self, candidate: Candidate) -> tuple[np.ndarray, Cut]:
        image = open_image(read_bytes(candidate.item, self.work.roots))
        how = plan(image.width, image.height, self.stage, key=candidate.item.key, seed=self.seed)
        return np.asarray(cut(image, how)), how


@dataclass(frozen=True)
class Latents:
    """The step that encodes the kept pictures."""

    reader: Cuts
    encode: Encode
    batch: int = 8

    @torch.inference_mode()
    def compute(self, read: Sequence[tuple[np.ndarray, Cut]]) -> list[Any]:
        results: list[Any] = [None] * len(read)
        for size in {how.size for _, how in read}:
            rows = [row for row, (_, how) in enumerate(read) if how.size == size]
            pixels = torch.from_numpy(np.stack([read[row][0] for row in rows]))  # (b, H, W, 3)
            images = pixels.permute(0, 3, 1, 2).float() / 255  # (b, 3, H, W)
            latents = torch.cat([self.encode(some).half().cpu() for some in images.split(self.batch)])
            for row, latent in zip(rows, latents, strict=True):  # (16, h, w)
                results[row] = (latent, read[row][1]) if latent.isfinite().all() else LeftOut(NOT_FINITE)
        return results

    def pack(self, done: Sequence[tuple[Candidate, tuple[Tensor, Cut]]]) -> tuple[dict[str, Tensor], dict]:
        tensors: dict[str, Tensor] = {}
        rows: dict[str, str] = {}
        for size in sorted({how.size for _, (_, how) in done}):
            name, here = size_name(size), [(who, *made) for who, made in done if made[1].size == size]
            tensors[name] = torch.stack([latent for _, latent, _ in here])  # (n, 16, h, w)
            tensors[f"places{name}"] = torch.tensor([who.place for who, _, _ in here])
            facts = [{"key": who.item.key, "captions": who.captions, "box": how.box} for who, _, how in here]
            rows[name] = "\n".join(json.dumps(fact) for fact in facts)
        return tensors or {"none": torch.zeros(0)}, {"rows": rows}


def latents_step(
    work: Work, stage: Stage, load: Callable[[], Encode], *, seed: int = 0, batch: int = 8
) -> Step:
    """Returns the step that encodes the kept pictures, `batch` at a time, with what `load` returns."""
    return Latents(Cuts(work, stage, seed), load(), batch)


def load_flux(folder: Path, *, device: str = "auto", precision: str = "float32") -> Encode:
    """Returns the encoder of a FLUX-type autoencoder in diffusers' layout; it takes the mean, not a sample.

    Raises:
        ValueError: it has other than 16 channels, another scale, or lacks weights.
        ModuleNotFoundError: diffusers is missing (`presample[data]`).
    """
    from diffusers import AutoencoderKL

    config = AutoencoderKL.load_config(folder, local_files_only=True)
    facts = config.get("latent_channels"), config.get("shift_factor"), config.get("scaling_factor")
    if facts != (CHANNELS, SHIFT, SCALE):
        wanted = f"{CHANNELS} channels, shift {SHIFT} and scale {SCALE}"
        raise ValueError(
            f"{folder} must be FLUX's autoencoder with {wanted}, got {facts}; use that of FLUX.1"
        )
    model, where = load_pretrained((AutoencoderKL,), folder, device=device, precision=precision)

    def encode(images: Tensor) -> Tensor:
        pixels = (images.to(where) * 2 - 1).to(model.dtype)  # (b, 3, H, W) in -1..1
        return (model.encode(pixels).latent_dist.mode().float() - SHIFT) * SCALE  # (b, 16, h, w)

    return encode
