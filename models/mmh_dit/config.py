"""The shape of an MMH-DiT, and the lists of head counts that make it one.

A list of heads changes no parameter: every block has the same matrices, cut differently.
Source: spec 2.2, 2.11.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

TEXT_POSITIONS = ("diagonal", "zero")
ALLOCATIONS = ("mmh", "uniform", "reversed")
HEAD_COUNTS = (8, 16, 24, 48)

# What a file may state: all of it is checked before a size is computed with, or anything built.
MOST_BLOCKS = 1_024
RANGES = {
    "hidden": (1, 65_536),
    **dict.fromkeys(("text_dim", "text_len", "in_ch", "patch"), (1, 2**24)),
    **dict.fromkeys(("mlp_hidden", "cond_dim"), (0, 2**24)),
    "rope_theta": (1, 10**12),
    "icfm_sigma": (0, 10**6),
    "gate_init": (-(10**6), 10**6),
}

GATE_FULL, GATE_TOY = 0.0, 0.3
"""Where gates start: at 0 a block does nothing, stable when there are many; a few learn sooner at 0.3."""


@dataclass(frozen=True)
class MMHDiTConfig:
    """The shape of a model, checked. Raises ValueError or TypeError for one that cannot be built.

    `heads` has one count for each block, so its length is the depth. `mlp_hidden` 0 becomes 8/3 of `hidden`
    rounded up to 256, `cond_dim` 0 becomes `hidden`, at most 1024. `text_len` is the number of text tokens
    that a caption is cut to, `text_pos` where they stand in the picture's plane: before its corner on the
    diagonal, or all at (0, 0). `gate_init` is where training starts the gates, `icfm_sigma` the noise of the
    path that the model was trained with.
    """

    hidden: int
    heads: tuple[int, ...]
    mlp_hidden: int = 0
    text_dim: int = 4096
    text_len: int = 256
    in_ch: int = 16
    patch: int = 2
    rope_theta: float = 10000.0
    text_pos: str = "diagonal"
    qk_norm: bool = True
    cond_dim: int = 0
    icfm_sigma: float = 0.0
    gate_init: float = GATE_FULL

    def __post_init__(self):
        self._check_types()
        if not self.heads:
            raise ValueError("heads must name one head count for each block, got none")
        if self.depth > MOST_BLOCKS:
            raise ValueError(f"heads must name at most {MOST_BLOCKS} blocks, got {self.depth}")
        for name, (least, most) in RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least} to {most}, got {getattr(self, name)}")
        for count in dict.fromkeys(self.heads):
            self._check_heads(count)
        if self.text_pos not in TEXT_POSITIONS:
            raise ValueError(f"text_pos must be one of {', '.join(TEXT_POSITIONS)}; got {self.text_pos!r}")
        object.__setattr__(self, "mlp_hidden", self.mlp_hidden or -(-8 * self.hidden // (3 * 256)) * 256)
        object.__setattr__(self, "cond_dim", self.cond_dim or min(self.hidden, 1024))

    def _check_types(self) -> None:
        if isinstance(self.heads, Sequence) and not isinstance(self.heads, str):
            object.__setattr__(self, "heads", tuple(self.heads))
        for f in fields(self):
            value = getattr(self, f.name)
            values = (value if isinstance(value, tuple) else (None,)) if f.name == "heads" else (value,)
            wanted = {"text_pos": str, "qk_norm": bool}.get(f.name)
            wanted = wanted or ((int, float) if isinstance(f.default, float) else int)
            for each in values:
                if not isinstance(each, wanted) or (isinstance(each, bool) and wanted is not bool):
                    kind = "a list of whole numbers" if f.name == "heads" else f"a {_word(wanted)}"
                    raise TypeError(f"{f.name} must be {kind}, got {value!r}")

    def _check_heads(self, count: int) -> None:
        if count < 1 or self.hidden % count or self.hidden // count % 4:
            possible = [n for n in range(1, self.hidden // 4 + 1) if self.hidden % (4 * n) == 0]
            near = sorted(sorted(possible, key=lambda n: abs(n - count))[:4])
            raise ValueError(
                f"a block's heads must divide hidden {self.hidden} into sizes that are multiples of 4 (pairs "
                f"on two axes), got {count}; "
                + (f"nearest are {near}" if near else "make hidden a multiple of 4")
            )

    @property
    def depth(self) -> int:
        """The number of blocks."""
        return len(self.heads)

    @property
    def head_dims(self) -> tuple[int, ...]:
        """The size of a head, for each block."""
        return tuple(self.hidden // count for count in self.heads)

    @property
    def patch_dim(self) -> int:
        """The numbers in one image token."""
        return self.in_ch * self.patch**2

    @property
    def parameters(self) -> int:
        """The number of weights; it does not depend on how blocks are cut into heads."""
        d, f, c = self.hidden, self.mlp_hidden, self.cond_dim
        block = 4 * d * d + 3 * d * f + 4 * d * c + 8 * d
        ends = 256 * c + 2 * c * c + self.text_dim * d + 2 * d * d + d  # time, text, BOS
        return self.depth * block + ends + 2 * self.patch_dim * d + d + d * c

    def to_dict(self) -> dict[str, Any]:
        """Returns the shape as plain values for JSON."""
        return {**asdict(self), "heads": list(self.heads)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> "MMHDiTConfig":
        """Returns the shape that `to_dict` wrote; raises as the class does, and for wrong names."""
        if not isinstance(facts, Mapping):
            raise TypeError(f"a config must be a JSON object, got {type(facts).__name__}")
        known = {f.name for f in fields(cls)}
        unknown, missing = sorted(map(str, set(facts) - known)), sorted({"hidden", "heads"} - set(facts))
        if unknown or missing:
            raise ValueError(
                "a config must state hidden and heads and nothing unknown; missing: "
                f"{', '.join(missing) or '-'}, unknown: {', '.join(unknown) or '-'}; "
                "was it written by a newer version?"
            )
        return cls(**facts)


def _word(kind: type | tuple) -> str:
    return {str: "text", bool: "true or false value", int: "whole number"}.get(kind, "number")


def head_allocation(kind: str, depth: int, counts: Sequence[int] = HEAD_COUNTS) -> tuple[int, ...]:
    """Returns the head counts of `depth` blocks, in one of three `ALLOCATIONS`.

    mmh: the counts in their order, each for an equal run of blocks (few heads early, many late); reversed:
    the same from behind; uniform: in every block the count nearest to the mean of `counts`, so give one
    count to have exactly that. Source: spec 2.5, 5.3.
    """
    if kind not in ALLOCATIONS:
        raise ValueError(f"kind must be one of {', '.join(ALLOCATIONS)}; got {kind!r}")
    if depth < 1 or not counts:
        raise ValueError(f"depth must be at least 1 and counts not empty, got {depth} and {tuple(counts)}")
    if kind == "uniform":
        mean = sum(counts) / len(counts)
        return (min(counts, key=lambda count: abs(count - mean)),) * depth
    heads = tuple(counts[i * len(counts) // depth] for i in range(depth))
    return heads[::-1] if kind == "reversed" else heads


FULL = MMHDiTConfig(hidden=1536, heads=head_allocation("mmh", 32))
"""The full-size model: 1.13 billion weights, T5 v1.1 XXL and FLUX latents (spec 2.2)."""
