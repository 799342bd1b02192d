"""The little world's bundled models put together: prompts to pictures with no download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ..hub import bundled_folder
from ..mmh_dit import checkpoint
from ..mmh_dit.flow import Text
from ..mmh_dit.pipeline import Pipeline
from .autoencoder import load_autoencoder
from .clip import load_clip, read_words

MODEL, CLIP, AUTOENCODER, WORDS = "mmh-dit-tiny", "tiny-clip", "tiny-autoencoder", "tipo-tiny"
WEIGHTS = "model.safetensors"


def load_pipeline(model: Path | None = None, *, folder: Path | None = None) -> Pipeline:
    """Returns the pipeline of the models in `folder`, the bundled ones; `model` is another MMH-DiT file.

    Raises:
        FileNotFoundError: a model is not there.
        ValueError: a file is not what it should be.
        ModuleNotFoundError: transformers, which runs the text encoder, is missing.
    """
    folder = folder or bundled_folder()
    for name in (MODEL, CLIP, AUTOENCODER):
        path = model if model and name == MODEL else folder / name / WEIGHTS
        if not path.is_file():
            raise FileNotFoundError(f"{path} must be there, and is not: install the package again")
    clip = load_clip(folder / CLIP / WEIGHTS, read_words(folder / WORDS))
    denoiser = checkpoint.load(model or folder / MODEL / WEIGHTS, dtype=torch.float32)
    longest = denoiser.config.text_len

    def encode(prompts: Sequence[str]) -> Text:
        states = clip.text_states(prompts, length=longest)
        return Text(states.hidden, states.mask)

    return Pipeline(denoiser, encode, load_autoencoder(folder / AUTOENCODER / WEIGHTS).decode)
