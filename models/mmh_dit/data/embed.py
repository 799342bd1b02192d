"""Embeds pictures with a vision model of the user's, CLIP or SigLIP, or reads embeddings from a file.

Convention: embeddings are (n, e) at unit length, float16 on disk, one row for each item that could be read.
Source: spec 2.9; the published choice is CLIP ViT-L/14 of DataComp-XL.

b batch  n items  e width of an embedding  h w picture
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...files import read_safetensors
from ...metrics.pretrained import load_pretrained, model_type
from .images import LeftOut
from .steps import Candidate, Everyone, Reader, Step
from .work import Folder, Work

NOT_FINITE = "the model gives no finite numbers"


@dataclass(frozen=True)
class Vision:
    """A vision model: `prepare` makes of a picture what `embed` takes (b, 3, h, w), which gives (b, e)."""

    processor: Any
    model: Any
    device: torch.device

    @property
    def prepare(self) -> partial:
        return partial(_prepare, self.processor)

    @torch.inference_mode()
    def embed(self, pixels: Sequence[np.ndarray]) -> Tensor:
        """Returns the embeddings (b, e) at unit length, float32, of what `prepare` returned."""
        batch = torch.from_numpy(np.stack(pixels)).to(self.device, next(self.model.parameters()).dtype)
        made = self.model(pixel_values=batch)
        pooled = made.image_embeds if "image_embeds" in made else made.pooler_output
        return torch.nn.functional.normalize(pooled.float(), dim=-1).cpu()


def _prepare(processor: Any, image: Any) -> np.ndarray:
    """An array, since every tensor on its way between processes would take a file descriptor."""
    return processor(images=image, return_tensors="pt")["pixel_values"][0].numpy()


def load_vision(folder: Path, *, device: str = "auto", precision: str = "float32") -> Vision:
    """Returns the vision model of a folder with config.json, preprocessor_config.json and safetensors.

    Raises:
        ValueError: it is neither CLIP nor SigLIP, or weights are missing.
        ModuleNotFoundError: transformers or Pillow is missing (`presample[data]`).
    """
    from transformers import (
        AutoImageProcessor,
        CLIPVisionModel,
        CLIPVisionModelWithProjection,
        SiglipVisionModel,
    )

    kind = model_type(folder)
    if kind.startswith("clip"):
        classes = (CLIPVisionModelWithProjection, CLIPVisionModel)
    elif kind.startswith("siglip"):
        classes = (SiglipVisionModel,)
    else:
        raise ValueError(f"{folder} must hold a CLIP or SigLIP model, got {kind!r}; choose another folder")
    model, where = load_pretrained(classes, folder, device=device, precision=precision)
    prepare = AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return Vision(prepare, model, where)


@dataclass(frozen=True)
class Embed:
    """The step that embeds all items."""

    reader: Reader
    vision: Vision

    def compute(self, read: Sequence[np.ndarray]) -> list[Any]:
        rows = self.vision.embed(read)
        return [row.half() if row.isfinite().all() else LeftOut(NOT_FINITE) for row in rows]

    def pack(self, done: Sequence[tuple[Candidate, Tensor]]) -> tuple[dict[str, Tensor], dict]:
        places = torch.tensor([who.place for who, _ in done], dtype=torch.int64)
        if not done:
            return {"places": places}, {}
        return {"places": places, "embeddings": torch.stack([row for _, row in done])}, {}


def embed_step(work: Work, folder: Path, *, device: str = "auto", precision: str = "float32") -> Step:
    """Returns the step that embeds all items with the model of `folder`."""
    vision = load_vision(folder, device=device, precision=precision)
    return Embed(Everyone(work, vision.prepare), vision)


def gather(work: Work, folder: Folder) -> tuple[Tensor, Tensor]:
    """Returns the numbers (n,) of the items that are embedded, and their embeddings (n, e), float16."""
    parts = [(part, folder.read(part).tensors) for part in work.parts]
    parts = [(part, tensors) for part, tensors in parts if len(tensors["places"])]
    if not parts:
        raise ValueError(f"{folder.path} has no embedding: none of the pictures could be read")
    numbers = [part * work.part_length + tensors["places"] for part, tensors in parts]
    return torch.cat(numbers), torch.cat([tensors["embeddings"] for _, tensors in parts])


def read_table(path: Path) -> Tensor:
    """Returns the embeddings (n, e) of a .npy or .safetensors file, one row an item in their order.

    Raises:
        ValueError: it holds no single table of numbers, or numbers that are not finite.
    """
    if path.suffix == ".npy":
        table = torch.from_numpy(np.load(path, allow_pickle=False))
    elif path.suffix == ".safetensors":
        tensors = read_safetensors(path)
        if len(tensors) != 1 and "embeddings" not in tensors:
            raise ValueError(f"{path} must hold one tensor, or one named embeddings; got {sorted(tensors)}")
        table = tensors.get("embeddings", next(iter(tensors.values())))
    else:
        raise ValueError(f"embeddings must be a .npy or .safetensors file, got {path}; convert them")
    if table.ndim != 2 or not table.is_floating_point():
        raise ValueError(
            f"{path} must hold floating-point rows (n, e), got {table.dtype} {tuple(table.shape)}"
        )
    if not table.isfinite().all():
        raise ValueError(f"{path} must hold finite numbers; some are not")
    return table
