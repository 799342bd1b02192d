"""A decoder from its weights: each matrix is fused, folded and placed (or quantised) one at a time.

The gain of each RMSNorm goes into the matrix behind it, matrices that read the same input are joined, and
rotary pairs are made adjacent, so the forward pass has fewer and larger steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from . import quant
from .formats import Weights
from .kohaku import KohakuDecoder, SparseMLP, Stack
from .llama import MLP, Attention, Block, Decoder


def build(weights: Weights, *, device: torch.device, precision: str) -> Decoder:
    """Returns the decoder with its weights in place, ready to run and not to train."""
    config = weights.config
    with torch.device("meta"):
        model = (KohakuDecoder if config.experts else Decoder)(config)
    layers = Layers(device, precision)
    model.embed.weight = layers.parameter(weights.read("model.embed_tokens.weight"))
    for index, block in enumerate(model.blocks):
        _fill_block(block, weights, f"model.layers.{index}.", layers)
    gain = weights.read("model.norm.weight").float()
    model.head = layers.linear(weights.read("lm_head.weight").float() * gain)
    model.set_buffers(device)
    return model.eval()


@dataclass(frozen=True)
class Layers:
    """Makes layers from float32 weights for one device and precision."""

    device: torch.device
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32 if self.precision == "int8" else getattr(torch, self.precision)

    def parameter(self, tensor: Tensor, *, dtype: torch.dtype | None = None) -> nn.Parameter:
        placed = tensor.to(device=self.device, dtype=dtype or self.dtype).contiguous()
        return nn.Parameter(placed, requires_grad=False)

    def linear(self, weight: Tensor, *, dtype: torch.dtype | None = None) -> nn.Module:
        if self.precision == "int8" and dtype is None:
            return quant.Int8Linear(weight)
        with torch.device("meta"):
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight = self.parameter(weight, dtype=dtype)
        return layer

    def stack(self, weights: Tensor) -> nn.Module:
        """Returns a layer for matrices (experts, out, in)."""
        return quant.Int8Stack(weights) if self.precision == "int8" else Stack(self.parameter(weights))


def _fill_block(block: Block, weights: Weights, prefix: str, layers: Layers) -> None:
    def read(name: str) -> Tensor:
        return weights.read(prefix + name).float()

    _fill_attention(block.attention, weights, read, layers)
    gain = read("post_attention_layernorm.weight")
    if isinstance(block.mlp, MLP):
        _fill_mlp(block.mlp, read, "mlp.", gain, layers)
    else:
        _fill_sparse(block.mlp, read, gain, layers)


def _fill_attention(
    attention: Attention, weights: Weights, read: Callable[[str], Tensor], layers: Layers
) -> None:
    def pairs(tensor: Tensor, heads: int) -> Tensor:
        return tensor if weights.adjacent_pairs else adjacent(tensor, heads)

    config = weights.config
    q = pairs(read("self_attn.q_proj.weight"), config.heads)
    k = pairs(read("self_attn.k_proj.weight"), config.kv_heads)
    qkv = torch.cat([q, k, read("self_attn.v_proj.weight")])
    attention.qkv = layers.linear(qkv * read("input_layernorm.weight"))
    attention.out = layers.linear(read("self_attn.o_proj.weight"))
    if config.qk_norm:
        q_gain = pairs(read("self_attn.q_norm.weight"), 1).expand(config.heads, -1)
        k_gain = pairs(read("self_attn.k_norm.weight"), 1).expand(config.kv_heads, -1)
        attention.qk_gain = layers.parameter(torch.cat([q_gain, k_gain]))


def _fill_mlp(mlp: MLP, read: Callable[[str], Tensor], prefix: str, gain: Tensor, layers: Layers) -> None:
    gate_up = torch.cat([read(prefix + "gate_proj.weight"), read(prefix + "up_proj.weight")])
    mlp.gate_up = layers.linear(gate_up * gain)
    mlp.down = layers.linear(read(prefix + "down_proj.weight"))


def _fill_sparse(mlp: SparseMLP, read: Callable[[str], Tensor], gain: Tensor, layers: Layers) -> None:
    mlp.router = layers.linear(read("mlp.gate.weight") * gain, dtype=torch.float32)
    mlp.bias = read("mlp.expert_bias").to(layers.device)
    mlp.gate_up = layers.stack(torch.cat([read("mlp.gate_proj"), read("mlp.up_proj")], dim=1) * gain)
    mlp.down = layers.stack(read("mlp.down_proj"))
    _fill_mlp(mlp.shared, read, "mlp.shared_expert.", gain, layers)


def adjacent(tensor: Tensor, heads: int) -> Tensor:
    """Returns the rows of `tensor` with each head's (i, i + e/2) pairs made adjacent: (2i, 2i + 1)."""
    halves = tensor.view(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.transpose(1, 2).reshape(tensor.shape)
