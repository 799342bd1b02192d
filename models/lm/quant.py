"""Linear layers in int8: one scale for each output row of a matrix, one for each row of activations.

A row of activations is scaled by its own largest magnitude, rounded to int8, multiplied with integer
accumulation and scaled back. Integer sums are exact, so a row's result does not depend on the rows beside
it: the same prompt gives the same text alone and in any batch.

Uses torch's packed int8 kernels (FBGEMM); `available` tells whether this torch and processor have them.
"""

import functools
import warnings

import torch
from torch import Tensor, nn

_TINY = 1e-30  # an all-zero row keeps a finite scale


def _multiply(x: Tensor, levels: int, packed) -> Tensor:
    """Rounds x, in [-1, 1], to `levels` steps each side of zero; multiplies as integers; scales back."""
    return torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(x, 1.0 / levels, 128, packed)


def _pack(weight: Tensor, scale: Tensor):
    zeros = torch.zeros(len(scale), dtype=torch.int64)
    with warnings.catch_warnings():
        # Newer torch announces the end of quantised tensors; `available` will then say no.
        warnings.simplefilter("ignore", UserWarning)
        whole = torch._make_per_channel_quantized_tensor(weight, scale, zeros, 0)
    return torch.ops.quantized.linear_prepack(whole, None)


@functools.cache
def levels() -> int:
    """Returns the steps an activation may have each side of zero, or 0 without usable int8 kernels.

    Processors without VNNI add pairs of products in 16 bits, which overflow at 127 steps but not at 63.
    """
    weight = torch.full((16, 256), 127, dtype=torch.int8)
    try:
        packed = _pack(weight, torch.ones(16))
        for steps in (127, 63):
            if (_multiply(torch.ones(1, 256), steps, packed) == 127 * 256).all():
                return steps
    except (RuntimeError, AttributeError, NotImplementedError):
        return 0
    return 0


def available() -> bool:
    """Returns whether int8 matrices can be used on this processor with this torch."""
    return levels() > 0


class Int8Linear(nn.Module):
    """A bias-free linear layer with int8 weights; float32 in and out."""

    def __init__(self, weight: Tensor, *, owned: bool = False):
        """`weight` is (out, in); with `owned` its memory may be written over, which spares a copy."""
        super().__init__()
        self.out_features, self.in_features = weight.shape
        wide = (
            weight
            if owned and weight.dtype == torch.float32
            else weight.detach().to(torch.float32, copy=True)
        )
        # Two passes: aminmax along rows takes eight times as long.
        scale = torch.maximum(wide.amax(1), -wide.amin(1)).clamp_min_(_TINY).div_(127)
        self.packed = _pack(wide.div_(scale[:, None]).round_().to(torch.int8), scale)
        self.levels = levels()

    @property
    def packed_size(self) -> int:
        """The bytes of the packed matrix and its scales, which are no parameters."""
        return self.out_features * (self.in_features + 8)

    def forward(self, x: Tensor) -> Tensor:
        scale = x.abs().amax(-1, keepdim=True).clamp_min_(_TINY)
        return _multiply(x / scale, self.levels, self.packed).mul_(scale)


class Int8Stack(nn.ModuleList):
    """Int8 matrices of the same shape, from (count, out, in)."""

    def __init__(self, weights: Tensor):
        super().__init__(Int8Linear(weight) for weight in weights)

    def forward(self, index: int, rows: Tensor) -> Tensor:
        return self[index](rows)
