"""Loads published models from folders on this machine, in the layout of Hugging Face's transformers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def model_type(folder: Path) -> str:
    """Returns what a folder's config.json says that it holds.

    Raises:
        FileNotFoundError: there is no config.json.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be there; {folder} has to be a folder in Hugging Face's layout")
    return json.loads(path.read_text(encoding="utf-8")).get("model_type", "")


def load_pretrained(
    classes: Sequence[type], folder: Path, *, device: str, precision: str
) -> tuple[Any, torch.device]:
    """Returns the first of the classes for which a folder has all weights, and its device.

    Raises:
        ValueError: weights are missing for each of them; transformers would make them up at random.
    """
    missing: list[str] = []
    for kind in classes:
        with torch.random.fork_rng(devices=[]):  # transformers draws for what is missing
            model, told = kind.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                torch_dtype=getattr(torch, precision),
            )
        missing = sorted(told["missing_keys"])
        if not missing:
            where = torch.device(
                device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
            )
            return model.to(where).eval().requires_grad_(False), where
    raise ValueError(
        f"{folder} lacks weights: {', '.join(missing[:3])}; download its safetensors files again"
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a .safetensors file or of a published .pth or .pt, which may hold nothing else
    than those, or them as its `state_dict`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else than tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be there, and is not; download it into {path.parent}")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    found = torch.load(path, map_location="cpu", weights_only=True)
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(x, Tensor) for x in found.values()):
        raise ValueError(f"{path} must hold tensors by name and nothing else; get the published file")
    return found
