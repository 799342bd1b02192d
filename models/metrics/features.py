"""Features of picture files, for Fréchet distances and the Vendi score.

Convention: features are (n, d) in float32, one row a picture. `fid` is Inception over clean-fid's resizing;
`fdd` is DINOv2's class token over 224 x 224 pixels, each row at unit length as TIPO's authors have it, so
its distances are far below the usual FD-DINOv2; `clip` is CLIP's embedding at unit length.
Source: spec 1.14; Stein et al. 2023, "Exposing flaws of generative model evaluation metrics" (DINOv2).

b batch  n pictures  d features
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..pictures import FORMATS, SUFFIXES, NoPicture, eight_bits, open_whole
from .inception import SIDE, load_inception
from .preprocess import IMAGENET, clean_square
from .pretrained import load_pretrained, model_type

DINO_SIDE = 224
MOST_WAITING = 1 << 26  # pixels of groups that are not full, with 3 bytes each


@dataclass(frozen=True)
class Features:
    """`prepare` makes a tensor of one picture of Pillow, `embed` features (b, d) of many of them."""

    prepare: Callable[[Any], Tensor]
    embed: Callable[[Tensor], Tensor]

    @torch.inference_mode()
    def of(
        self, paths: Sequence[Path], *, batch: int = 32, on_done: Callable[[int], object] = lambda count: None
    ) -> Tensor:
        """Returns features (n, d) of picture files; raises ValueError that names a file it cannot read."""
        made = []
        for start in range(0, len(paths), batch):
            group = paths[start : start + batch]
            made.append(self.embed(torch.stack([self.prepare(open_picture(path)) for path in group])))
            on_done(len(group))
        if not made:
            raise ValueError("there must be pictures to measure, got none")
        return torch.cat(made).float().cpu()


def load_features(kind: str, path: Path, *, device: str = "cpu") -> Features:
    """Returns what a kind in FEATURES measures: `fid` of a weights file, `fdd` and `clip` of a folder.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: the kind is none, or another model lies there.
    """
    if kind not in FEATURES:
        raise ValueError(f"features must be one of {', '.join(FEATURES)}; got {kind!r}")
    return FEATURES[kind](path, device)


def find_pictures(folder: Path) -> list[Path]:
    """Returns the pictures of a folder and of those in it, by name; raises ValueError where there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise ValueError(f"{folder} must hold pictures ({', '.join(SUFFIXES)}), and holds none")
    return found


def open_picture(path: Path) -> Any:
    """Returns a picture of Pillow in RGB; raises ValueError where the file is none, or is too large."""
    try:
        with open(path, "rb") as file:
            return eight_bits(open_whole(file)).convert("RGB")
    except (NoPicture, OSError, ValueError) as why:  # palettes may be damaged too
        kinds = ", ".join(FORMATS)
        raise ValueError(f"{path} must be a whole picture ({kinds}): {why}; remove or replace it") from why


def batches(paths: Sequence[Path], size: int) -> Iterator[tuple[list[int], Tensor]]:
    """Yields pictures of one size together, at most `size` of them: their places and (b, 3, H, W) in 0..1.

    Where there are many sizes the fullest group goes early, so that few pixels wait.
    """
    import numpy as np

    waiting: dict[tuple[int, int], list[tuple[int, Tensor]]] = {}
    pixels: Counter[tuple[int, int]] = Counter()  # that wait, by size
    for place, path in enumerate(paths):
        picture = open_picture(path)
        group = waiting.setdefault(picture.size, [])
        group.append((place, torch.from_numpy(np.array(picture)).permute(2, 0, 1)))
        pixels[picture.size] += picture.width * picture.height
        full = picture.size if len(group) == size else None
        if full or pixels.total() > MOST_WAITING:
            chosen = full or max(pixels, key=pixels.get)
            del pixels[chosen]
            yield _together(waiting.pop(chosen))
    for group in waiting.values():
        yield _together(group)


def _together(group: list[tuple[int, Tensor]]) -> tuple[list[int], Tensor]:
    return [place for place, _ in group], torch.stack([pixels for _, pixels in group]).float() / 255


def _fid(path: Path, device: str) -> Features:
    network = load_inception(path).to(device)
    return Features(lambda image: clean_square(image, SIDE), lambda x: network(x.to(device)))


def _fdd(folder: Path, device: str) -> Features:
    from transformers import Dinov2Model

    if model_type(folder) != "dinov2":
        raise ValueError(
            f"{folder} must hold a DINOv2, got {model_type(folder)!r}; get facebook/dinov2-large"
        )
    model, _ = load_pretrained((Dinov2Model,), folder, device=device, precision="float32")
    mean, std = (torch.tensor(each, device=device)[:, None, None] for each in IMAGENET)

    def embed(x: Tensor) -> Tensor:
        return _unit(model(pixel_values=(x.to(device) - mean) / std).pooler_output)

    return Features(lambda image: clean_square(image, DINO_SIDE), embed)


def _clip(folder: Path, device: str) -> Features:
    from .scorers import load_towers

    towers = load_towers(folder, device=device)
    side = towers.model.config.vision_config.image_size
    return Features(lambda image: clean_square(image, side), towers.images)


FEATURES = {"fid": _fid, "fdd": _fdd, "clip": _clip}


def _unit(x: Tensor) -> Tensor:
    return torch.nn.functional.normalize(x.float(), dim=-1)
