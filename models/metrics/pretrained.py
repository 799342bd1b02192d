"""Loads published models from folders on this machine, in the layout of Hugging Face's transformers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import read_safetensors
from ..published.scorers import KNOWN_SCORERS

SAFE_TORCH = (2, 10)


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
        return read_safetensors(path)
    found = read_pickle(path)
    if not all(isinstance(x, Tensor) for x in found.values()):
        raise ValueError(f"{path} must hold tensors by name and nothing else; get the published file")
    return found


def read_pickle(path: Path) -> dict[str, Any]:
    """Returns what torch.save wrote into a file, by name: its `state_dict`, where it has one.

    Older torch than SAFE_TORCH reads published files only, which are known by their checksums: told to read
    weights only, it can still be made to run code of a file (CVE-2025-32434, CVE-2026-24747).

    Raises:
        ValueError: torch is too old for the file, or it holds something else than tensors and plain values.
    """
    if torch.__version__ < SAFE_TORCH and not _is_published(path):
        raise ValueError(
            f"{path.name} must be read with torch {'.'.join(map(str, SAFE_TORCH))} or newer, got "
            f"{torch.__version__}, which a stranger's file can make run code; update torch, or get the "
            "file's tensors as .safetensors"
        )
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # its errors are of many classes, those of pickle among them
        first = str(error).partition("\n")[0]
        raise ValueError(f"{path.name} must hold tensors and nothing else, got: {first}") from error
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"{path.name} must hold tensors by name, got a {type(found).__name__}")
    return found


def _is_published(path: Path) -> bool:
    """Whether a file is a published one, by a checksum that its page states."""
    size = path.stat().st_size
    sums = {file.sha256 for known in KNOWN_SCORERS for file in known.parts if file.size == size}
    return bool(sums) and hashlib.sha256(path.read_bytes()).hexdigest() in sums
