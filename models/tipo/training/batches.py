"""Samples as batches of token ids.

Convention: one batch is at most `tokens` tokens of samples of like length; labels of -100 carry no loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .samples import Sample
from .tokenizer import BOS, EOS

IGNORED = -100
ROW = 16  # rows of tokens are padded to a multiple of it


@dataclass(frozen=True)
class Encoded:
    """A sample as token ids with BOS and EOS; the first `skip` of them carry no loss."""

    ids: list[int]
    skip: int


def encode(samples: Sequence[Sample], tokenizer) -> list[Encoded]:
    """Returns the samples as ids; the loss begins with the token that holds its first character."""
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    found = []
    for sample, e in zip(samples, tokenizer.encode_batch([s.text for s in samples]), strict=True):
        inside = [i for i, (_, end) in enumerate(e.offsets) if i and end > sample.loss_start]
        ids = e.ids if e.ids[0] == bos else [bos, *e.ids]
        found.append(Encoded([*ids, eos], inside[0] if inside else len(ids)))
    return found


def padded(length: int) -> int:
    """Returns the length of a row: few shapes keep the arithmetic library's caches small."""
    return -(-length // ROW) * ROW


def collate(batch: Sequence[Encoded], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns ids and labels (b, n), padded on the right; a causal model needs no mask for that."""
    n = padded(max(len(e.ids) for e in batch))
    ids = torch.full((len(batch), n), pad)
    labels = torch.full((len(batch), n), IGNORED)
    for row, e in enumerate(batch):
        tokens = torch.tensor(e.ids)
        ids[row, : len(e.ids)] = tokens
        labels[row, e.skip : len(e.ids)] = tokens[e.skip :]
    return ids, labels


def batches(encoded: Sequence[Encoded], tokens: int) -> list[list[Encoded]]:
    """Returns groups of samples of like length, each of at most `tokens` tokens with its padding."""
    left = sorted(encoded, key=lambda e: len(e.ids), reverse=True)
    groups = []
    while left:
        count = max(1, tokens // padded(len(left[0].ids)))
        groups.append(left[:count])
        left = left[count:]
    return groups
