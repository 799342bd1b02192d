"""Layers that come without weights, and attention, as a model uses them when no host brings its own.

A fresh layer draws no random numbers and its weights hold anything: they are loaded, or made by
`model.init_weights`.
"""

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Linear):
    def reset_parameters(self) -> None:
        pass


class Embedding(nn.Embedding):
    def reset_parameters(self) -> None:
        pass


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · weight; the root in float32 whatever the type of x."""

    def __init__(self, dim: int, *, eps: float, dtype=None, device=None):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, dtype=dtype, device=device))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return rms(x, self.eps) * self.weight


def rms(x: Tensor, eps: float) -> Tensor:
    """Returns x over its root mean square, without gain; the root in float32 whatever the type of x."""
    return F.rms_norm(x, x.shape[-1:], None, eps)


def sdpa(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Returns softmax(q·k/√e + mask)·v as (b, s, heads · e), from q, k, v (b, heads, s, e)."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


PLAIN = SimpleNamespace(Linear=Linear, Embedding=Embedding, RMSNorm=RMSNorm)
