"""ggml's quantised blocks as float32, vectorised.

Key: n blocks. A tensor is a row of blocks of equal size in bytes; scales are float16; four-bit values lie two
to a byte, the lower halves first. `_x(blocks)` takes (n, bytes per block) uint8 and returns (n, values per
block) float32.
Source: ggml-quants.c (the block layouts) of ggml-org/ggml; checked against the gguf package.
"""

from __future__ import annotations

import torch

# Values and bytes of one block.
BLOCKS = {
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
}

# Values in one go: few enough to stay in the cache, and below torch's grain, so that no threads start for
# so little work; on a busy machine their barriers cost a hundred times the work itself.
_CHUNK_VALUES = 1 << 14


def dequantize(raw: torch.Tensor, kind: str) -> torch.Tensor:
    """The float32 values, flat, of the uint8 bytes of a tensor of a quantised kind."""
    values, size = BLOCKS[kind]
    blocks = raw.view(-1, size)
    out = torch.empty(blocks.shape[0], values)
    step = _CHUNK_VALUES // values
    for start in range(0, blocks.shape[0], step):
        _DEQUANTIZE[kind](blocks[start : start + step], out[start : start + step])
    return out.view(-1)


def _half(blocks: torch.Tensor, at: int) -> torch.Tensor:
    """The float16 at that byte of every block, as float32; (n, 1)."""
    return blocks[:, at : at + 2].contiguous().view(torch.float16).float()


def _nibbles(packed: torch.Tensor) -> torch.Tensor:
    """Two values for each byte, along the last dimension: all lower halves, then all upper ones."""
    return torch.cat((packed & 15, packed >> 4), dim=-1)


def _bits(packed: torch.Tensor) -> torch.Tensor:
    """Eight values for each byte along the last dimension, lowest bit first."""
    shifts = torch.arange(8, dtype=torch.uint8)
    return ((packed[..., None] >> shifts) & 1).flatten(-2)


def _q4_0(blocks: torch.Tensor, out: torch.Tensor) -> None:
    torch.mul(_nibbles(blocks[:, 2:]).float() - 8, _half(blocks, 0), out=out)


def _q4_1(blocks: torch.Tensor, out: torch.Tensor) -> None:
    torch.addcmul(_half(blocks, 2), _nibbles(blocks[:, 4:]).float(), _half(blocks, 0), out=out)


def _q5_0(blocks: torch.Tensor, out: torch.Tensor) -> None:
    values = _nibbles(blocks[:, 6:]) | (_bits(blocks[:, 2:6]) << 4)
    torch.mul(values.float() - 16, _half(blocks, 0), out=out)


def _q5_1(blocks: torch.Tensor, out: torch.Tensor) -> None:
    values = _nibbles(blocks[:, 8:]) | (_bits(blocks[:, 4:8]) << 4)
    torch.addcmul(_half(blocks, 2), values.float(), _half(blocks, 0), out=out)


def _q8_0(blocks: torch.Tensor, out: torch.Tensor) -> None:
    torch.mul(blocks[:, 2:].view(torch.int8), _half(blocks, 0), out=out)


def _k_scales(packed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eight 6-bit scales and eight 6-bit minima from 12 bytes; (n, 8) float32 each."""
    low, mid, high = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = torch.cat((low & 63, (high & 15) | (low >> 6) << 4), dim=1)
    minima = torch.cat((mid & 63, (high >> 4) | (mid >> 6) << 4), dim=1)
    return scales.float(), minima.float()


def _k_values(blocks: torch.Tensor, values: torch.Tensor, out: torch.Tensor) -> None:
    """Values (n, 8, 32) times the scales of the eight sub-blocks, less their minima."""
    scales, minima = _k_scales(blocks[:, 4:16])
    scales, minima = scales * _half(blocks, 0), minima * _half(blocks, 2)
    torch.sub(values.float() * scales[..., None], minima[..., None], out=out.view(-1, 8, 32))


def _q4_k(blocks: torch.Tensor, out: torch.Tensor) -> None:
    # Each 32 bytes hold two sub-blocks.
    _k_values(blocks, _nibbles(blocks[:, 16:].view(-1, 4, 32)).view(-1, 8, 32), out)


def _q5_k(blocks: torch.Tensor, out: torch.Tensor) -> None:
    shifts = torch.arange(8, dtype=torch.uint8)[:, None]
    fifth = (blocks[:, None, 16:48] >> shifts) & 1  # (n, 8, 32): bit j belongs to sub-block j
    low = _nibbles(blocks[:, 48:].view(-1, 4, 32)).view(-1, 8, 32)
    _k_values(blocks, low | (fifth << 4), out)


def _q6_k(blocks: torch.Tensor, out: torch.Tensor) -> None:
    # Two halves of 128 values; in each, 64 bytes of lower halves and 32 bytes of upper pairs of bits.
    low = _nibbles(blocks[:, :128].view(-1, 2, 64))  # (n, 2, 128)
    shifts = torch.arange(0, 8, 2, dtype=torch.uint8)[:, None]
    high = (blocks[:, 128:192].view(-1, 2, 1, 32) >> shifts) & 3  # (n, 2, 4, 32)
    values = (low | (high.flatten(2) << 4)).view(-1, 16, 16).float() - 32
    scales = blocks[:, 192:208].view(torch.int8) * _half(blocks, 208)
    torch.mul(values, scales[..., None], out=out.view(-1, 16, 16))


_DEQUANTIZE = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}
