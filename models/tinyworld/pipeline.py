"""The little world's bundled models put together: prompts to pictures with no download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..hub import bundled_folder, bundled_weights
from ..mmh_dit import checkpoint
from ..mmh_dit.flow import SampleOptions, Text
from ..mmh_dit.pipeline import Pipeline
from ..options import default
from .autoencoder import load_autoencoder
from .bundled import AUTOENCODER, CLIP, MODEL, WORDS
from .clip import load_clip, read_words


@dataclass(frozen=True)
class TinyOptions(SampleOptions):
    """How a picture of the little world is sampled: as any, with the guidance that suits its small model."""

    cfg: float = default(SampleOptions, "cfg", 3.0)


def load_pipeline(model: Path | None = None, *, folder: Path | None = None) -> Pipeline:
    """Returns the pipeline of the models in `folder`, the bundled ones; `model` is another MMH-DiT file.

    Raises:
        FileNotFoundError: a model is not there.
        ValueError: a file is not what it should be.
        ModuleNotFoundError: transformers, which runs the text encoder, is missing.
    """
    clip = load_clip(bundled_weights(CLIP, folder), read_words((folder or bundled_folder()) / WORDS))
    autoencoder = load_autoencoder(bundled_weights(AUTOENCODER, folder))
    denoiser = checkpoint.load(model or bundled_weights(MODEL, folder), dtype=torch.float32)

    def encode(prompts: Sequence[str]) -> Text:
        states = clip.text_states(prompts, length=denoiser.config.text_len)
        return Text(states.hidden, states.mask)

    return Pipeline(denoiser, encode, autoencoder.decode)
