"""Makes of pictures what models see: sizes, crops and normal values, with gradients where tensors come in.

Convention: images are (b, 3, H, W) in 0..1. `Prepare` follows a model's own preprocessor_config.json and
keeps gradients; `clean_square` follows clean-fid, on files, and has none.
Source: Parmar et al. 2022, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation".

b batch  H W image  h w what a model sees
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and spread
MODES = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers of resampling


@dataclass(frozen=True)
class Prepare:
    """Resizes without aliasing, to a `shortest` edge or to a whole `size` (h, w); cuts the middle out."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None
    shortest: int | None = None
    crop: tuple[int, int] | None = None
    mode: str = "bicubic"

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images (b, 3, H, W) as (b, 3, h, w), with gradients."""
        x = self._resized(images.float())
        if self.crop:
            x = _middle(x, self.crop)
        mean, std = (torch.tensor(each, device=x.device)[:, None, None] for each in (self.mean, self.std))
        return (x - mean) / std

    def _resized(self, x: Tensor) -> Tensor:
        size = self.size
        if self.shortest:
            height, width = x.shape[-2:]
            # Whole numbers as the processors of transformers round them.
            scaled = int(self.shortest * max(height, width) / min(height, width))
            size = (scaled, self.shortest) if height > width else (self.shortest, scaled)
        if size is None or tuple(x.shape[-2:]) == size:
            return x
        made = functional.interpolate(x, size, mode=self.mode, antialias=True, align_corners=False)
        return made.clamp(0, 1)  # bicubic overshoots, and pictures of Pillow cannot


def read_prepare(folder: Path) -> Prepare:
    """Returns what the preprocessor_config.json of a folder says.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it asks for something that pictures are not made ready by here.
    """
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be there; download it with the model")
    facts = json.loads(path.read_text(encoding="utf-8"))
    size, crop = facts.get("size"), facts.get("crop_size")
    mode = MODES.get(facts.get("resample", 3))
    if mode is None:
        raise ValueError(f"{path} must resample by 2 (bilinear) or 3 (bicubic), got {facts['resample']}")
    shortest = size if isinstance(size, int) else (size or {}).get("shortest_edge")
    return Prepare(
        tuple(facts.get("image_mean", IMAGENET[0])),
        tuple(facts.get("image_std", IMAGENET[1])),
        size=None if shortest or not facts.get("do_resize", True) else (size["height"], size["width"]),
        shortest=shortest if facts.get("do_resize", True) else None,
        crop=_pair(crop) if facts.get("do_center_crop", crop is not None) else None,
        mode=mode,
    )


def clean_square(image: Any, side: int) -> Tensor:
    """Returns a picture of Pillow as (3, side, side) in 0..1: each channel resized by Pillow's bicubic filter
    in floating point, never rounded to bytes; clean-fid's rule."""
    from PIL import Image

    channels = [
        Image.fromarray(channel).resize((side, side), Image.Resampling.BICUBIC)
        for channel in np.asarray(image.convert("RGB"), dtype=np.float32).transpose(2, 0, 1)
    ]
    return torch.from_numpy(np.stack([np.asarray(channel) for channel in channels])).clamp(0, 255) / 255


def _pair(crop: Any) -> tuple[int, int]:
    return (crop, crop) if isinstance(crop, int) else (crop["height"], crop["width"])


def _middle(x: Tensor, crop: tuple[int, int]) -> Tensor:
    """The middle (h, w); what is missing at the edges is black."""
    spare = [have - want for have, want in zip(x.shape[-2:], crop, strict=True)]
    top, left = (each // 2 for each in spare)
    return functional.pad(x, (-left, left - spare[1], -top, top - spare[0]))
