"""MMH-DiT: a transformer over one joint sequence of text and image tokens, whose blocks cut their width into
different numbers of heads.

Dimension key: b batch  h, w latent height, width  n image tokens (patches, row by row)  m text tokens
s = 1 + m + n tokens of the joint sequence [BOS, text, image]  d width  k heads of a block  e = d/k head size
c width of the conditioning.

Convention: `t` is flow time, 0 noise and 1 data; the answer is the velocity data - noise (see flow.py).
`operations` makes every layer that has weights and `attention` mixes tokens, so a host can bring its own.
Everything is computed in the type of `x`; norms and rotations in float32 inside.
Source: oboro's report; spec 2.2 to 2.4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from . import rope
from .config import MMHDiTConfig
from .layers import PLAIN, rms, sdpa

EPS = 1e-6
WAVES = 256  # sinusoids that tell the time

Attention = Callable[..., Tensor]
"""(q, k, v, *, mask) -> (b, s, d); q, k, v (b, k, s, e), mask (b, 1, 1, s), added to scores, or None."""


class State(NamedTuple):
    """What a block reads; it answers with tokens as they were given.

    `cond` is SiLU(c) (b, c), `table` the rotations for this block's head size, `mask` (b, 1, 1, s) is added
    to the scores, or None, and image tokens begin at `image_start`.
    """

    tokens: Tensor  # (b, s, d)
    cond: Tensor
    table: Tensor
    mask: Tensor | None
    image_start: int


@dataclass(frozen=True)
class Hooks:
    """What a host changes in one forward pass.

    `block(index, state, run)` stands in for block `index` and returns its tokens (b, s, d): `run(state)` is
    the block itself. `attention` replaces the model's own; `stretch` changes the image's positions.
    """

    block: Callable[[int, State, Callable[[State], Tensor]], Tensor] | None = None
    attention: Attention | None = None
    stretch: rope.Stretch = rope.PLAIN


NONE = Hooks()


class MLP3(nn.Module):
    """Three matrices with SiLU between them."""

    def __init__(self, sizes: tuple[int, int, int], operations: Any, **place):
        super().__init__()
        first, inner, last = sizes
        self.w1 = operations.Linear(first, inner, bias=False, **place)
        self.w2 = operations.Linear(inner, inner, bias=False, **place)
        self.w3 = operations.Linear(inner, last, bias=False, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.w3(F.silu(self.w2(F.silu(self.w1(x)))))


class SwiGLU(nn.Module):
    """w2(SiLU(w1·x) ⊙ w3·x)."""

    def __init__(self, dim: int, inner: int, operations: Any, **place):
        super().__init__()
        self.w1 = operations.Linear(dim, inner, bias=False, **place)
        self.w2 = operations.Linear(inner, dim, bias=False, **place)
        self.w3 = operations.Linear(dim, inner, bias=False, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class JointAttention(nn.Module):
    """Attention of every token to every token; queries and keys are normalised, then turned by position."""

    def __init__(self, dim: int, heads: int, operations: Any, *, qk_norm: bool, **place):
        super().__init__()
        self.heads, self.qk_norm = heads, qk_norm
        self.qkv = operations.Linear(dim, 3 * dim, bias=False, **place)
        self.out = operations.Linear(dim, dim, bias=False, **place)

    def forward(self, x: Tensor, state: State, attention: Attention) -> Tensor:
        qk, v = (
            self.qkv(x).unflatten(-1, (3 * self.heads, -1)).tensor_split([2 * self.heads], 2)
        )  # (b, s, 2k|k, e)
        if self.qk_norm:
            qk = F.layer_norm(qk, qk.shape[-1:], None, None, EPS)
        qk = rope.rotate(qk, state.table).type_as(v)
        q, k, v = (part.transpose(1, 2) for part in (*qk.chunk(2, 2), v))  # (b, k, s, e)
        return self.out(attention(q, k, v, mask=state.mask))


class Block(nn.Module):
    """x + gate·norm(attention(norm(x)·(1 + scale))), then the same around the MLP."""

    def __init__(self, config: MMHDiTConfig, heads: int, operations: Any, **place):
        super().__init__()
        dim = config.hidden
        self.modulation = operations.Linear(config.cond_dim, 4 * dim, **place)
        self.attn_norm1 = operations.RMSNorm(dim, eps=EPS, **place)
        self.attn = JointAttention(dim, heads, operations, qk_norm=config.qk_norm, **place)
        self.attn_norm2 = operations.RMSNorm(dim, eps=EPS, **place)
        self.mlp_norm1 = operations.RMSNorm(dim, eps=EPS, **place)
        self.mlp = SwiGLU(dim, config.mlp_hidden, operations, **place)
        self.mlp_norm2 = operations.RMSNorm(dim, eps=EPS, **place)

    def forward(self, state: State, attention: Attention) -> Tensor:
        x = state.tokens
        attn_scale, attn_gate, mlp_scale, mlp_gate = self.modulation(state.cond)[:, None].chunk(4, -1)
        y = self.attn(self.attn_norm1(x) * (1 + attn_scale), state, attention)
        x = torch.addcmul(x, self.attn_norm2(y), attn_gate.tanh())
        y = self.mlp(self.mlp_norm1(x) * (1 + mlp_scale))
        return torch.addcmul(x, self.mlp_norm2(y), mlp_gate.tanh())


class Final(nn.Module):
    """From image tokens to the velocity of their patches."""

    def __init__(self, config: MMHDiTConfig, operations: Any, **place):
        super().__init__()
        self.scale = operations.Linear(config.cond_dim, config.hidden, bias=False, **place)
        self.linear = operations.Linear(config.hidden, config.patch_dim, bias=False, **place)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        return self.linear(rms(x, EPS) * (1 + self.scale(cond)[:, None]))


class MMHDiT(nn.Module):
    """The velocity of a noisy latent, given the time and a text.

    A new model's weights hold anything until they are loaded or made by `init_weights`. Set
    `gradient_checkpointing` to compute each block again in the backward pass instead of keeping its insides.
    """

    def __init__(
        self,
        config: MMHDiTConfig,
        *,
        operations: Any = PLAIN,
        attention: Attention = sdpa,
        dtype=None,
        device=None,
    ):
        super().__init__()
        self.config, self.attention, self.dtype = config, attention, dtype
        self.gradient_checkpointing = False
        place = {"dtype": dtype, "device": device}
        self.image_in = operations.Linear(config.patch_dim, config.hidden, **place)
        self.text_in = MLP3((config.text_dim, config.hidden, config.hidden), operations, **place)
        self.time_in = MLP3((WAVES, config.cond_dim, config.cond_dim), operations, **place)
        self.bos = operations.Embedding(1, config.hidden, **place)
        self.blocks = nn.ModuleList(Block(config, heads, operations, **place) for heads in config.heads)
        self.final = Final(config, operations, **place)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        text: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        hooks: Hooks = NONE,
    ) -> Tensor:
        """Returns the velocity of the latent x (b, in_ch, h, w) of any size at flow time t (b), in its shape.

        `text` (b, m, text_dim) is None or m = 0 for no text; `mask` (b, m) is True where a text token is one
        and not padding. Raises ValueError for shapes that do not fit.
        """
        self._check(x, t, text, mask)
        text, mask = trim(text, mask)
        tokens, grid = self.embed_image(x)  # (b, n, d)
        words = self.embed_text(text, mask, tokens)  # (b, 1 + m, d)
        start = words.shape[1]
        positions = rope.joint_positions(
            rope.text_positions(start - 1, mask, kind=self.config.text_pos, device=x.device),
            rope.image_positions(*grid, stretch=hooks.stretch, device=x.device),
        )
        cond = F.silu(self.time_in(waves(t).to(x.dtype)))
        scores = None if mask is None else score_mask(mask, tokens)
        tokens = self.run_blocks(torch.cat((words, tokens), 1), cond, positions, scores, start, hooks)
        velocity = from_patches(self.final(tokens[:, start:], cond), grid, self.config.patch)
        return velocity[:, :, : x.shape[2], : x.shape[3]]

    def embed_image(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Returns the image tokens (b, n, d) of a latent, and how many there are down and across."""
        patches, grid = to_patches(x, self.config.patch)
        return self.image_in(patches), grid

    def embed_text(self, text: Tensor | None, mask: Tensor | None, like: Tensor) -> Tensor:
        """Returns BOS and the text tokens (b, 1 + m, d)."""
        bos = self.bos(torch.zeros(1, 1, dtype=torch.long, device=like.device)).to(like.dtype)
        bos = bos.expand(len(like), -1, -1)
        if text is None:
            return bos + self._untouched() if self.training else bos
        text = text if mask is None else text.masked_fill(~mask[..., None], 0)  # no NaN may come from padding
        return torch.cat((bos, self.text_in(text.to(like.dtype))), 1)

    def _untouched(self) -> Tensor:
        """Zero, made of the weights that texts go through: processes that train together wait for the
        gradients of all weights."""
        return 0 * sum(weight.sum() for weight in self.text_in.parameters())

    def run_blocks(
        self, tokens: Tensor, cond: Tensor, positions: Tensor, mask: Tensor | None, start: int, hooks: Hooks
    ) -> Tensor:
        attention = hooks.attention or self.attention
        dims = self.config.head_dims
        tables = {e: rope.rotation_table(positions, e, self.config.rope_theta) for e in dict.fromkeys(dims)}
        for index, (block, e) in enumerate(zip(self.blocks, dims, strict=True)):
            run = self._runner(block, attention)
            state = State(tokens, cond, tables[e], mask, start)
            tokens = hooks.block(index, state, run) if hooks.block else run(state)
        return tokens

    def _runner(self, block: Block, attention: Attention) -> Callable[[State], Tensor]:
        if not (self.gradient_checkpointing and torch.is_grad_enabled()):
            return lambda state: block(state, attention)
        return lambda state: checkpoint(
            block, state, attention, use_reentrant=False, preserve_rng_state=False
        )

    def _check(self, x: Tensor, t: Tensor, text: Tensor | None, mask: Tensor | None) -> None:
        if x.ndim != 4 or x.shape[1] != self.config.in_ch:
            raise ValueError(
                f"x must be a latent (b, {self.config.in_ch}, h, w), got {tuple(x.shape)}; "
                f"it comes from an autoencoder with {self.config.in_ch} channels, such as FLUX's"
            )
        if t.shape != x.shape[:1]:
            raise ValueError(f"t must have one time for each of {len(x)} latents, got {tuple(t.shape)}")
        if text is None:
            return
        if text.ndim != 3 or len(text) != len(x) or text.shape[2] != self.config.text_dim:
            raise ValueError(
                f"text must be (b, m, text_dim) = ({len(x)}, m, {self.config.text_dim}), "
                f"got {tuple(text.shape)}; use the text encoder that the model was trained with"
            )
        if mask is not None and mask.shape != text.shape[:2]:
            raise ValueError(f"mask must be (b, m) = {tuple(text.shape[:2])}, got {tuple(mask.shape)}")


def trim(text: Tensor | None, mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Returns text and mask without the tokens that are padding in every row; no mask when none is left."""
    if text is None or text.shape[1] == 0:
        return None, None
    if mask is None:
        return text, None
    mask = mask.to(text.device, torch.bool)
    kept = mask.any(0)
    if not bool(kept.all()):
        text, mask = text[:, kept], mask[:, kept]
    if text.shape[1] == 0:
        return None, None
    return text, None if bool(mask.all()) else mask


def score_mask(mask: Tensor, image: Tensor) -> Tensor:
    """Returns (b, 1, 1, s) to add to scores: the least number where a text token is padding, else 0."""
    real = F.pad(F.pad(mask, (1, 0), value=True), (0, image.shape[1]), value=True)
    scores = torch.zeros(real.shape, dtype=image.dtype, device=image.device)
    return scores.masked_fill_(~real, torch.finfo(image.dtype).min)[:, None, None]


def waves(t: Tensor) -> Tensor:
    """Returns cosines and sines (b, 256) of 1000·t at frequencies 10000^(-j/128), in float32."""
    half = WAVES // 2
    frequency = torch.exp(
        torch.arange(half, dtype=torch.float32, device=t.device) * (-math.log(10000.0) / half)
    )
    angle = 1000 * t.float()[:, None] * frequency
    return torch.cat((angle.cos(), angle.sin()), -1)


def to_patches(x: Tensor, patch: int) -> tuple[Tensor, tuple[int, int]]:
    """Returns (b, n, in_ch · patch²), row by row, channel-major inside, and the numbers of rows and columns.

    A size that patches do not divide is filled up with copies of its last row or column.
    """
    for axis in (2, 3):
        if missing := -x.shape[axis] % patch:
            x = torch.cat((x, *[x.narrow(axis, x.shape[axis] - 1, 1)] * missing), axis)
    grid = (x.shape[2] // patch, x.shape[3] // patch)
    return F.pixel_unshuffle(x, patch).flatten(2).transpose(1, 2), grid


def from_patches(tokens: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """Returns the latent (b, in_ch, h, w) of patches (b, n, in_ch · patch²)."""
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, grid), patch)


@torch.no_grad()
def init_weights(model: MMHDiT, generator: torch.Generator) -> None:
    """Gives a model its first weights, drawn on the CPU in the order of its parameters.

    Matrices are uniform with variance 2 / (in + out); gains are 1; modulations and the last layer are 0, so
    the velocity is 0, but gates start at the config's `gate_init`. The head counts change no weight.
    """
    for name, weight in model.named_parameters():
        if name.startswith("final.") or ".modulation." in name or name.endswith(".bias"):
            weight.zero_()
        elif weight.ndim == 1:
            weight.fill_(1)
        else:
            bound = 0.02 * 3**0.5 if name == "bos.weight" else (6 / sum(weight.shape)) ** 0.5
            draw = torch.rand(weight.shape, generator=generator, dtype=torch.float32)
            weight.copy_(draw.mul_(2 * bound).sub_(bound))
    for block in model.blocks:
        _, attn_gate, _, mlp_gate = block.modulation.bias.chunk(4)
        attn_gate.fill_(model.config.gate_init)
        mlp_gate.fill_(model.config.gate_init)
