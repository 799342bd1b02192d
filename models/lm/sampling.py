"""Choosing the next token: penalty, forbidden tokens, temperature, top-k, top-p, min-p, one draw a row.

Only the k best logits leave the device; the rest is float32 on the processor, where the draws come from one
generator a request, so the same seed means the same choice on every device up to the rounding of logits.
Dimension key: b rows  v vocabulary  c candidates, best first.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MANY_ROWS = 8  # from here on a partition is faster than topk


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn. Filters act in this order: temperature, top-k, top-p, min-p.

    temperature 0 takes the best token; top_k 0, top_p 1 and min_p 0 turn their filter off. `top_p` keeps the
    fewest tokens whose probability reaches it (Holtzman et al. 2020), `min_p` those at least that fraction as
    likely as the best (Nguyen et al. 2024).
    """

    temperature: float = 0.5
    top_k: int = 80
    top_p: float = 0.95
    min_p: float = 0.05


def penalize_(logits: Tensor, seen: Sequence[Collection[int]], penalties: Sequence[float]) -> None:
    """Makes the tokens in `seen` of each row less likely, in place, of logits (b, v).

    Each row has its own penalty; 1 changes nothing. Source: Keskar et al. 2019, equation 2.
    """
    for penalty in set(penalties) - {1.0}:
        rows = [row for row, each in enumerate(penalties) if each == penalty]
        ids = [token for row in rows for token in seen[row]]
        if not ids:
            continue
        places = [row for row in rows for _ in seen[row]]
        where = torch.tensor([places, ids], device=logits.device)
        values = logits[where[0], where[1]]
        logits[where[0], where[1]] = torch.where(values > 0, values / penalty, values * penalty)


def candidates(logits: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Returns the best logits (b, c), best first, and their tokens (b, c), both on the processor."""
    count = min(top_k or logits.shape[-1], logits.shape[-1])
    plain = logits.device.type == "cpu" and logits.dtype == torch.float32 and count < logits.shape[-1]
    found = _partitioned(logits, count) if plain and len(logits) >= MANY_ROWS else None
    values, tokens = found or logits.topk(count, dim=-1)
    return values.float().cpu(), tokens.cpu()


def _partitioned(logits: Tensor, count: int) -> tuple[Tensor, Tensor] | None:
    """Returns what `topk` does, in a fourth of its time; None where equal logits leave a choice."""
    first = logits.shape[-1] - count
    tokens = torch.from_numpy(np.argpartition(logits.numpy(), first, axis=-1)[:, first:])
    values, order = logits.gather(-1, tokens).sort(dim=-1, descending=True)
    least = values[:, -1:]
    equal = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > float("-inf"))
    beyond = ((logits >= least).sum(-1) > count) & (least[:, 0] > float("-inf"))
    if equal.any() or beyond.any():
        return None
    return values, tokens.gather(-1, order)


def draw(values: Tensor, sampling: Sampling, uniform: Tensor) -> tuple[list[int], list[float]]:
    """Returns for each row the place of the drawn candidate and its probability after filtering.

    With temperature 0 that is the best candidate and its probability at temperature 1, with nothing filtered.
    `values` (b, c) are logits, best first; `uniform` (b) lies in [0, 1). The draw inverts the cumulative
    distribution, so it depends on nothing but the row's own logits and number.
    """
    if sampling.temperature == 0:
        return [0] * len(values), values.softmax(-1)[:, 0].tolist()
    chance = (values / sampling.temperature).softmax(-1)  # (b, c)
    before = chance.cumsum(-1) - chance
    keep = (before < sampling.top_p) & (chance >= sampling.min_p * chance[:, :1])
    keep[:, 0] = True
    chance = chance * keep
    below = chance.cumsum(-1)
    place = (below <= uniform[:, None] * below[:, -1:]).sum(-1, keepdim=True)
    place = place.minimum(keep.sum(-1, keepdim=True) - 1)
    share = chance.gather(-1, place) / below[:, -1:]
    return place.flatten().tolist(), share.flatten().tolist()
