"""A decoder from its weights: each matrix is fused, folded and placed (or quantised) one at a time.

The gain of each RMSNorm goes into the matrix behind it, matrices that read the same input are joined, and
rotary pairs are made adjacent, so the forward pass has fewer and larger steps.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from . import quant
from .formats import Weights
from .kohaku import KohakuDecoder, SparseMLP, Stack
from .llama import MLP, Attention, Block, Config, Decoder


def build(weights: Weights, *, device: torch.device, precision: str) -> Decoder:
    """Returns the decoder with its weights in place, ready to run and not to train."""
    config = weights.config
    with torch.device("meta"):
        model = (KohakuDecoder if config.experts else Decoder)(config)
    layers, inside = Layers(device, precision), layer_shapes(config)
    embedding = _read(weights, "model.embed_tokens.weight", config.vocab_size, config.dim)
    keep = embedding.dtype if precision == "int8" else layers.dtype  # it is looked up, never multiplied
    model.embed.weight = layers.parameter(embedding, dtype=keep)
    for index, block in enumerate(model.blocks):
        _fill_block(block, weights, f"model.layers.{index}.", layers, inside)
    head = _read(weights, "lm_head.weight", config.vocab_size, config.dim)
    model.head = layers.linear(head, gain=_read(weights, "model.norm.weight", config.dim))
    model.dtype = layers.dtype
    model.set_buffers(device)
    return model.eval()


def layer_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Returns the shapes that the tensors of a layer have, by their names in it."""
    d, e, x = config.dim, config.head_dim, config.experts
    q, k = config.heads * e, config.kv_heads * e
    shapes = {f"self_attn.{name}_proj.weight": (rows, d) for name, rows in (("q", q), ("k", k), ("v", k))}
    shapes |= {"self_attn.o_proj.weight": (d, q)}
    shapes |= {f"self_attn.{name}_norm.weight": (e,) for name in "qk"}
    shapes |= {f"{name}_layernorm.weight": (d,) for name in ("input", "post_attention")}
    for prefix, inner in (("mlp.", config.mlp_dim), ("mlp.shared_expert.", x.shared_dim if x else 0)):
        shapes |= {f"{prefix}{name}_proj.weight": (inner, d) for name in ("gate", "up")}
        shapes |= {f"{prefix}down_proj.weight": (d, inner)}
    if x:
        shapes |= {"mlp.gate.weight": (x.count, d), "mlp.expert_bias": (x.count,)}
        shapes |= {f"mlp.{name}_proj": (x.count, x.dim, d) for name in ("gate", "up")}
        shapes |= {"mlp.down_proj": (x.count, d, x.dim)}
    return shapes


def _read(weights: Weights, name: str, *shape: int) -> Tensor:
    tensor = weights.read(name)
    if tuple(tensor.shape) != shape:
        raise ValueError(
            f"{name} must be {list(shape)} as the config says, got {list(tensor.shape)}; the files belong to"
            " different models, get them again"
        )
    return tensor


class Layers:
    """Makes layers from stored weights for one device and precision."""

    def __init__(self, device: torch.device, precision: str):
        self.device, self.precision = device, precision
        self.dtype = torch.float32 if precision == "int8" else getattr(torch, precision)
        self.scratch = torch.empty(0)

    def parameter(self, tensor: Tensor, *, dtype: torch.dtype | None = None) -> nn.Parameter:
        placed = tensor.to(device=self.device, dtype=dtype or self.dtype).contiguous()
        return nn.Parameter(placed, requires_grad=False)

    def linear(
        self, *parts: Tensor, gain: Tensor | None = None, dtype: torch.dtype | None = None
    ) -> nn.Module:
        """Returns a layer for the matrices (out, in) one below the other, times `gain` (in)."""
        weight = self.joined(parts, gain)
        if self.precision == "int8" and dtype is None:
            return quant.Int8Linear(weight, owned=True)
        with torch.device("meta"):
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight = self.parameter(weight.clone(), dtype=dtype)
        return layer

    def joined(self, parts: Sequence[Tensor], gain: Tensor | None) -> Tensor:
        """Returns the product in float32, in memory that the next call uses again: new pages cost more."""
        rows, columns = sum(len(part) for part in parts), parts[0].shape[1]
        if self.scratch.numel() < rows * columns:
            self.scratch = torch.empty(rows * columns)
        whole = self.scratch[: rows * columns].view(rows, columns)
        for part, place in zip(parts, whole.split([len(part) for part in parts]), strict=True):
            place.copy_(part)
        return whole if gain is None else whole.mul_(gain)

    def stack(self, weights: Tensor) -> nn.Module:
        """Returns a layer for matrices (experts, out, in)."""
        return quant.Int8Stack(weights) if self.precision == "int8" else Stack(self.parameter(weights))


def _fill_block(
    block: Block, weights: Weights, prefix: str, layers: Layers, shapes: Mapping[str, Sequence[int]]
) -> None:
    def read(name: str) -> Tensor:
        return _read(weights, prefix + name, *shapes[name])

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
    gain = read("input_layernorm.weight")
    attention.qkv = layers.linear(q, k, read("self_attn.v_proj.weight"), gain=gain)
    attention.out = layers.linear(read("self_attn.o_proj.weight"))
    if config.qk_norm:
        q_gain = pairs(read("self_attn.q_norm.weight"), 1).expand(config.heads, -1)
        k_gain = pairs(read("self_attn.k_norm.weight"), 1).expand(config.kv_heads, -1)
        attention.qk_gain = layers.parameter(torch.cat([q_gain, k_gain]))


def _fill_mlp(mlp: MLP, read: Callable[[str], Tensor], prefix: str, gain: Tensor, layers: Layers) -> None:
    mlp.gate_up = layers.linear(read(prefix + "gate_proj.weight"), read(prefix + "up_proj.weight"), gain=gain)
    mlp.down = layers.linear(read(prefix + "down_proj.weight"))


def _fill_sparse(mlp: SparseMLP, read: Callable[[str], Tensor], gain: Tensor, layers: Layers) -> None:
    mlp.router = layers.linear(read("mlp.gate.weight"), gain=gain, dtype=torch.float32)
    mlp.bias = read("mlp.expert_bias").to(device=layers.device, dtype=torch.float32)
    gate_up = torch.cat([read("mlp.gate_proj"), read("mlp.up_proj")], dim=1).float()
    mlp.gate_up = layers.stack(gate_up.mul_(gain))
    mlp.down = layers.stack(read("mlp.down_proj"))
    _fill_mlp(mlp.shared, read, "mlp.shared_expert.", gain, layers)


def adjacent(tensor: Tensor, heads: int) -> Tensor:
    """Returns the rows of `tensor` with each head's (i, i + e/2) pairs made adjacent: (2i, 2i + 1)."""
    halves = tensor.view(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.transpose(1, 2).reshape(tensor.shape)
