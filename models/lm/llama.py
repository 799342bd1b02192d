"""A LLaMA-shaped decoder over a static key-value cache: prefill and step are the same forward pass.

Dimension key: b rows  n new tokens of each row  r = b·n  l cached tokens  d width  h query heads
k key heads  g = h/k  e head size.

Rotary pairs are adjacent (2i, 2i+1), so the rotation is one complex product; `checkpoint` permutes weights
that were stored half by half. The gain of each RMSNorm is folded into the matrix that follows it.
Sources: Touvron et al. 2023 (arXiv 2302.13971); Su et al. 2021 (arXiv 2104.09864) eq. 34.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Experts:
    """A sparse MLP: `count` routed experts of width `dim`, `top_k` for each token, and a shared one."""

    count: int
    top_k: int
    dim: int
    shared_dim: int
    dense_layers: int = 1
    normalize: bool = True
    scale: float = 1.0

    def __post_init__(self):
        check_whole(self, count=(1, 2**16), dim=(1, 2**20), shared_dim=(1, 2**20), dense_layers=(0, 2**10))
        check_whole(self, top_k=(1, self.count))
        check_number(self, "scale", least=0)


@dataclass(frozen=True)
class Config:
    """The shape of a decoder, checked: raises ValueError for one that cannot be built.

    `mlp_dim` is the inner width of the dense SwiGLU layers; `head_dim` 0 becomes `dim` over `heads`.
    """

    vocab_size: int
    dim: int
    depth: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_dim: int
    context: int
    rope_theta: float = 10000.0
    eps: float = 1e-5
    qk_norm: bool = False
    experts: Experts | None = None

    def __post_init__(self):
        check_whole(self, vocab_size=(1, 2**24), dim=(1, 2**17), depth=(1, 2**10), heads=(1, 2**12))
        check_whole(self, kv_heads=(1, 2**12), head_dim=(0, 2**12), mlp_dim=(1, 2**20), context=(1, 2**24))
        check_number(self, "rope_theta", least=1)
        check_number(self, "eps", least=0)
        if self.heads % self.kv_heads:
            raise ValueError(f"heads must be a multiple of kv_heads {self.kv_heads}, got {self.heads}")
        object.__setattr__(self, "head_dim", self.head_dim or self.dim // self.heads)
        if not self.head_dim or self.head_dim % 2:
            raise ValueError(f"head_dim must be even, for rotary pairs, got {self.head_dim}")


def check_whole(shape: object, **ranges: tuple[int, int]) -> None:
    """Raises ValueError where a field is not a whole number in its range."""
    for name, (least, most) in ranges.items():
        value = getattr(shape, name)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(
                f"{name} of the model must be a whole number from {least} to {most}, got {repr(value)[:80]}; "
                "its config is damaged, get it again"
            )


def check_number(shape: object, name: str, *, least: float) -> None:
    """Raises ValueError where a field is not a finite number from `least` on."""
    value = getattr(shape, name)
    if type(value) not in (int, float) or not least <= value <= 1e12:
        raise ValueError(
            f"{name} of the model must be a number from {least} on, got {repr(value)[:80]}; "
            "its config is damaged, get it again"
        )


ROOM_STEP, SPAN = 16, 128  # tokens


class Cache:
    """Keys and values of `batch` rows: one (2, b·k, l, e) tensor a layer, l being the `room` made so far.

    Room grows with the texts, up to `length` tokens, so that what is read lies together in memory: a
    processor fetches it up to half again as fast. On a GPU it is all there at once, for graphs to keep.
    """

    def __init__(self, config: Config, batch: int, length: int, *, device=None, dtype=None):
        self.batch, self.length, self.head_dim = batch, length, config.head_dim
        self.places = torch.arange(length, device=device)
        # The heads of each row, of its keys and then of its values: the order in which they are written.
        heads = torch.arange(2 * batch * config.kv_heads, device=device).view(2, batch, config.kv_heads)
        self.heads = heads.transpose(0, 1).reshape(batch, 1, -1)  # (b, 1, 2k)
        self.room = 0 if self.places.device.type == "cpu" else length
        # A layer with more room goes where another one was, so there is one buffer more than layers. Memory
        # that no text has reached yet is not touched, so it costs nothing.
        size, new = self.heads.numel() * length * config.head_dim, torch.zeros if self.room else torch.empty
        self.buffers = [new(size, device=device, dtype=dtype) for _ in range(config.depth + 1)]
        self.layers = [self._shaped(buffer, self.room) for buffer in self.buffers[:-1]]
        self.first = self.heads * self.room  # flat index of each head's token 0

    def _shaped(self, buffer: Tensor, room: int) -> Tensor:
        count = self.heads.numel()
        return buffer[: count * room * self.head_dim].view(2, count // 2, room, self.head_dim)

    def make_room(self, tokens: int) -> None:
        """Makes room for `tokens` in every row, where there is less."""
        if tokens <= self.room:
            return
        room = min(-(-tokens // ROOM_STEP) * ROOM_STEP, self.length)
        for index, old in enumerate(self.layers):
            new = self.layers[index] = self._shaped(self.buffers[-1], room)
            new[:, :, : self.room] = old
            new[:, :, self.room :] = 0  # what is not seen yet must be finite
            self.buffers[index], self.buffers[-1] = self.buffers[-1], self.buffers[index]
        self.room, self.first = room, self.heads * room

    def row(self, layer: Tensor, index: int, tokens: int) -> Tensor:
        """Returns the first `tokens` keys and values (2, k, tokens, e) of one row of a layer, as a view."""
        return layer.unflatten(1, (self.batch, -1))[:, index, :, :tokens]

    def copy_row(self, source: "Cache", to: int, tokens: int, *, of: int = 0) -> None:
        """Copies the first `tokens` entries of row `of` of `source` into row `to`."""
        self.make_room(tokens)
        for mine, theirs in zip(self.layers, source.layers, strict=True):
            self.row(mine, to, tokens).copy_(source.row(theirs, of, tokens))

    def take_rows(self, sources: Sequence[int], tokens: int) -> None:
        """Lets row i have the first `tokens` entries of row sources[i], for all i at once."""
        for layer in self.layers:
            rows = layer.unflatten(1, (self.batch, -1))
            rows[:, : len(sources), :, :tokens] = rows[:, sources, :, :tokens]

    def swap_rows(self, one: int, other: int, tokens: int) -> None:
        """Exchanges the first `tokens` entries of two rows."""
        for layer in self.layers:
            a, b = self.row(layer, one, tokens), self.row(layer, other, tokens)
            held = a.clone()
            a.copy_(b)
            b.copy_(held)


class Span(NamedTuple):
    """Tokens of a text that are read together: the row they lie in, and how many of it are known before."""

    row: int
    tokens: Sequence[int]
    known: int

    @property
    def end(self) -> int:
        return self.known + len(self.tokens)


class Placement(NamedTuple):
    """What every layer needs to know of the new tokens: where they stand, where they go, what they see."""

    rows: int
    heads: slice  # of the cache's b·k heads
    slots: Tensor  # (b·n·2k)
    rotation: Tensor  # (r, 1, e/2) complex
    mask: Tensor  # 0 or -inf: (b·k, l, 1) where `single`, else (b, 1, n, l)
    single: bool  # one token a row, on a processor
    extent: int
    spans: tuple["Placement", ...] = ()  # where texts are read together: what each sees, with `count` tokens
    count: int = 0


def rms_norm(x: Tensor, eps: Tensor) -> Tensor:
    """Returns x over its root mean square, without gain; computed in float32 whatever the type of x."""
    wide = x.float()
    size = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    return (wide * torch.addcmul(eps, size, size, value=1 / x.shape[-1]).rsqrt_()).type_as(x)


class Attention(nn.Module):
    """Grouped-query attention; queries, keys and values come from one matrix."""

    def __init__(self, config: Config):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.scale = config.head_dim**-0.5
        inner = config.heads * config.head_dim
        self.qkv = nn.Linear(config.dim, inner + 2 * config.kv_heads * config.head_dim, bias=False)
        self.out = nn.Linear(inner, config.dim, bias=False)
        self.qk_norm = config.qk_norm
        if config.qk_norm:
            self.qk_gain = nn.Parameter(torch.ones(config.heads + config.kv_heads, config.head_dim))

    def forward(self, x: Tensor, kv: Tensor, place: Placement, eps: Tensor) -> Tensor:
        qkv = self.qkv(x).view(len(x), -1, self.head_dim)  # (r, h + 2k, e)
        turned = qkv[:, : self.heads + self.kv_heads]
        if self.qk_norm:
            turned.copy_(rms_norm(turned, eps) * self.qk_gain)
        rotate_(turned, place.rotation)
        kv.view(-1, self.head_dim).index_copy_(
            0, place.slots, qkv[:, self.heads :].reshape(-1, self.head_dim)
        )
        q = qkv[:, : self.heads]
        if not place.spans:
            return self.out(self.attend(q, kv[:, place.heads, : place.extent], place))
        # Each by itself: a product's rounding follows its shape, and a text must not know of the others.
        parts = zip(q.split([span.count for span in place.spans]), place.spans, strict=True)
        return self.out(
            torch.cat([self.attend(part, kv[:, at.heads, : at.extent], at) for part, at in parts])
        )

    def attend(self, q: Tensor, kv: Tensor, place: Placement) -> Tensor:
        """Returns softmax(q·keys)·values as (r, h·e); heads that share a key are further queries to it."""
        b, k = place.rows, self.kv_heads
        n, g = len(q) // b, self.heads // k
        if place.single:
            # Two batched products: faster than the fused kernel here, and bit for bit the same in any batch.
            q = q.reshape(b * k, g, -1).transpose(1, 2)
            score = torch.baddbmm(place.mask, kv[0], q, alpha=self.scale)  # (b·k, l, g): faster keys first
            share = score.transpose(1, 2).softmax(-1)
            return (torch.bmm(share, kv[1]) if g == 1 else _sum_in_spans(share, kv[1])).view(b, -1)
        keys, values = kv.unflatten(1, (b, k))  # each (b, k, l, e)
        q = q.unflatten(0, (b, n)).unflatten(2, (k, g)).permute(0, 2, 3, 1, 4).flatten(2, 3)  # (b, k, g·n, e)
        mask = place.mask.repeat(1, 1, g, 1)
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        return y.unflatten(2, (g, n)).permute(0, 3, 1, 2, 4).reshape(b * n, -1)


def _sum_in_spans(share: Tensor, values: Tensor) -> Tensor:
    """Returns share (b·k, g, l) times values (b·k, l, e) as a sum over spans of one length.

    Left alone, the library halves a sum of 193 to 383 tokens but not a longer one, for four queries or more:
    a row would then differ in its last bits beside a longer row.
    """
    total = None
    for part, span in zip(share.split(SPAN, -1), values.split(SPAN, 1), strict=True):
        total = torch.bmm(part, span) if total is None else total.baddbmm_(part, span)
    return total


def rotate_(x: Tensor, rotation: Tensor) -> None:
    """Turns each adjacent pair of x (r, heads, e) by `rotation` (r, 1, e/2), complex, in place."""
    if x.dtype == torch.float32:
        torch.view_as_complex(x.unflatten(-1, (-1, 2))).mul_(rotation)
    else:
        pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
        x.copy_(torch.view_as_real(pairs * rotation).flatten(-2))


class MLP(nn.Module):
    """SwiGLU; gate and up come from one matrix."""

    def __init__(self, dim: int, inner: int):
        super().__init__()
        self.gate_up = nn.Linear(dim, 2 * inner, bias=False)
        self.down = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate).mul_(up))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: Config, mlp: nn.Module):
        super().__init__()
        self.attention = Attention(config)
        self.mlp = mlp

    def forward(self, x: Tensor, kv: Tensor, place: Placement, eps: Tensor) -> Tensor:
        x = x + self.attention(rms_norm(x, eps), kv, place, eps)
        return x + self.mlp(rms_norm(x, eps))


class Decoder(nn.Module):
    """A decoder-only language model; `kohaku.KohakuDecoder` differs in its MLPs alone."""

    def __init__(self, config: Config):
        super().__init__()
        self.config, self.dtype = config, torch.float32
        # Given its weight it draws none: on the meta device that imports torch's compiler, for over a second.
        self.embed = nn.Embedding(
            config.vocab_size, config.dim, _weight=torch.empty(config.vocab_size, config.dim)
        )
        self.blocks = nn.ModuleList(Block(config, self.make_mlp(i)) for i in range(config.depth))
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.set_buffers()

    def set_buffers(self, device: torch.device | str = "cpu") -> None:
        """Makes the constants of the forward pass on `device`, whatever device modules are built on."""
        half = (
            torch.arange(0, self.config.head_dim, 2, dtype=torch.float32, device=device)
            / self.config.head_dim
        )
        self.register_buffer("frequency", 1.0 / self.config.rope_theta**half, persistent=False)
        self.register_buffer("eps", torch.tensor(self.config.eps, device=device), persistent=False)

    def make_mlp(self, layer: int) -> nn.Module:
        return MLP(self.config.dim, self.config.mlp_dim)

    def forward(
        self, tokens: Tensor, cache: Cache, positions: Tensor, *, extent: int, first_row: int = 0
    ) -> Tensor:
        """Returns the normalised hidden states (b, n, d) of `tokens` (b, n) and caches their keys and values.

        `positions` (b, n) says where in its row each token stands; a token sees every cached token up to its
        own position, so rows may have different lengths. `extent` bounds the cached tokens that are looked
        at: it must exceed every position and not exceed the cache. The rows are those of the cache from
        `first_row` on.
        """
        cache.make_room(extent)
        x = self.run(tokens.flatten(), cache, self.place(cache, positions, extent, first_row))
        return rms_norm(x, self.eps).view(*tokens.shape, -1)

    def read(self, spans: Sequence[Span], cache: Cache) -> Tensor:
        """Returns the normalised hidden states (s, d) of the last token of each span, all in one pass.

        Keys and values are cached as by `forward`, and where a row of a matrix product does not depend on the
        others (int8) all numbers are those of a pass for each span.
        """
        device = cache.places.device
        cache.make_room(max(span.end for span in spans))
        places = [
            self.place(cache, cache.places[None, span.known : span.end], span.end, span.row) for span in spans
        ]
        whole = places[0]._replace(
            slots=torch.cat([place.slots for place in places]),
            rotation=torch.cat([place.rotation for place in places]),
            spans=tuple(
                place._replace(count=len(span.tokens)) for place, span in zip(places, spans, strict=True)
            ),
        )
        tokens = torch.tensor([token for span in spans for token in span.tokens], device=device)
        ends = torch.tensor([len(span.tokens) for span in spans], device=device).cumsum(0) - 1
        return rms_norm(self.run(tokens, cache, whole)[ends], self.eps)

    def run(self, tokens: Tensor, cache: Cache, place: Placement) -> Tensor:
        """Returns the hidden states (r, d) of `tokens` (r), before the last norm."""
        x = self.embed(tokens).to(self.dtype)  # (r, d)
        for block, kv in zip(self.blocks, cache.layers, strict=True):
            x = block(x, kv, place, self.eps)
        return x

    def place(self, cache: Cache, positions: Tensor, extent: int, first_row: int) -> Placement:
        (b, n), k = positions.shape, self.config.kv_heads
        unseen = cache.places[:extent] > positions[:, None, :, None]
        mask = torch.zeros(unseen.shape, dtype=cache.layers[0].dtype, device=unseen.device)
        mask = mask.masked_fill_(unseen, float("-inf"))
        single = n == 1 and not mask.is_cuda
        angle = positions.reshape(-1, 1, 1).float() * self.frequency
        return Placement(
            rows=b,
            heads=slice(first_row * k, (first_row + b) * k),
            slots=(cache.first[first_row : first_row + b] + positions[..., None]).flatten(),
            rotation=torch.polar(torch.ones_like(angle), angle),
            mask=mask.expand(b, k, 1, -1).reshape(b * k, -1, 1) if single else mask,
            single=single,
            extent=extent,
        )
