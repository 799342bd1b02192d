"""Encodes the captions of the kept items once, with a frozen text encoder of the user's.

Convention: of every caption the last hidden state of its tokens is kept, end token included and padding not,
as bfloat16; a part has them one after another in `states` (m, d), caption k from `starts[k]` to `starts[k +
1]`, and item j's captions from `captions[j]` to `captions[j + 1]`.
Source: spec 2.2: T5 v1.1 XXL, 256 tokens, padding masked.

b batch  m tokens  d width of the encoder
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...metrics.pretrained import load_pretrained, model_type
from .embed import NOT_FINITE
from .images import LeftOut
from .selection import Selection
from .steps import Candidate, Step
from .work import Work

TOGETHER = 32  # captions: a picture may have any number


@dataclass(frozen=True)
class Captions:
    """Reads the captions of the kept items, score tag included."""

    work: Work

    def candidates(self, part: int) -> tuple[list[Candidate], dict[str, list[str]]]:
        return Selection(self.work).choose(part)

    def read(self, candidate: Candidate) -> tuple[str, ...]:
        return candidate.captions


@dataclass(frozen=True)
class Encoder:
    """A text encoder with its tokenizer; at most `length` tokens of a caption count."""

    tokenizer: Any
    model: Any
    device: torch.device
    length: int = 256

    def encode(self, texts: Sequence[str]) -> list[Tensor]:
        """Returns the states (m, d) of every text's own tokens, bfloat16."""
        groups = (texts[i : i + TOGETHER] for i in range(0, len(texts), TOGETHER))
        return [states for group in groups for states in self._encode(group)]

    @torch.inference_mode()
    def _encode(self, texts: Sequence[str]) -> list[Tensor]:
        told = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.length, return_tensors="pt"
        )
        ids, mask = told["input_ids"].to(self.device), told["attention_mask"].to(self.device)
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state  # (b, m, d)
        return [row[keep].bfloat16().cpu() for row, keep in zip(states, mask.bool(), strict=True)]


def load_encoder(
    folder: Path,
    tokenizer: Path | None = None,
    *,
    length: int = 256,
    device: str = "auto",
    precision: str = "bfloat16",
) -> Encoder:
    """Returns the text encoder of a folder, T5's or CLIP's, with the tokenizer there or in another folder.

    Raises:
        ValueError: it holds another kind of model, weights are missing, or it reads fewer tokens.
        ModuleNotFoundError: transformers is missing (`presample[data]`).
    """
    from transformers import AutoTokenizer, CLIPTextModel, T5EncoderModel

    kinds = {"t5": T5EncoderModel, "clip": CLIPTextModel, "clip_text_model": CLIPTextModel}
    kind = model_type(folder)
    if kind not in kinds:
        raise ValueError(f"{folder} must hold a T5 or CLIP text model, got {kind!r}; choose another folder")
    model, where = load_pretrained((kinds[kind],), folder, device=device, precision=precision)
    most = getattr(model.config, "max_position_embeddings", length)  # T5 has no end of its own
    if length > most:
        raise ValueError(f"{folder} reads at most {most} tokens, got {length}; give --length {most}")
    words = AutoTokenizer.from_pretrained(tokenizer or folder, local_files_only=True, trust_remote_code=False)
    return Encoder(words, model, where, length)


@dataclass(frozen=True)
class Texts:
    """The step that encodes captions."""

    reader: Captions
    encoder: Encoder

    def compute(self, read: Sequence[tuple[str, ...]]) -> list[Any]:
        states = iter(self.encoder.encode([caption for captions in read for caption in captions]))
        results = [[next(states) for _ in captions] for captions in read]
        return [made if all(s.isfinite().all() for s in made) else LeftOut(NOT_FINITE) for made in results]

    def pack(self, done: Sequence[tuple[Candidate, list[Tensor]]]) -> tuple[dict[str, Tensor], dict]:
        states = [state for _, made in done for state in made]
        tensors = {
            "places": torch.tensor([who.place for who, _ in done], dtype=torch.int64),
            "captions": torch.tensor([0, *accumulate(len(made) for _, made in done)]),
            "starts": torch.tensor([0, *accumulate(len(state) for state in states)]),
        }
        facts = {"captions": [who.captions for who, _ in done]}
        return tensors | ({"states": torch.cat(states)} if states else {}), facts


def texts_step(
    work: Work,
    folder: Path,
    tokenizer: Path | None = None,
    *,
    length: int = 256,
    device: str = "auto",
    precision: str = "bfloat16",
) -> Step:
    """Returns the step that encodes the captions of the kept items with the encoder of `folder`."""
    encoder = load_encoder(folder, tokenizer, length=length, device=device, precision=precision)
    return Texts(Captions(work), encoder)
