"""Lists of head counts as people write and read them.

Convention: `8, 8, 16` names blocks one by one, `8x12` stands for twelve blocks of 8 heads.
Source: spec 2.5, 2.11.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ..options import option, validate
from .config import ALLOCATIONS, HEAD_COUNTS, MOST_BLOCKS, MMHDiTConfig, head_allocation

CUSTOM = "custom"


@dataclass(frozen=True)
class HeadOptions:
    """How a list of head counts is made."""

    kind: str = option(
        "mmh",
        "mmh puts few heads early and many late, reversed the other way round, uniform the same everywhere;"
        " custom takes heads as they are written.",
        choices=(*ALLOCATIONS, CUSTOM),
    )
    depth: int = option(32, "Number of blocks.", low=1, high=MOST_BLOCKS, step=1)
    hidden: int = option(1536, "Width of the model; every head count must divide it.", low=16, high=16384)
    counts: str = option(
        ", ".join(map(str, HEAD_COUNTS)), "Head counts to allocate, in the order of the blocks."
    )
    heads: str = option("", "For custom: the count of each block, such as 8x8, 16x8, 24x8, 48x8.")

    def __post_init__(self):
        validate(self)


def allocate(options: HeadOptions) -> MMHDiTConfig:
    """Returns a config with the heads that the options ask for; raises ValueError for what cannot be."""
    if options.kind == CUSTOM:
        heads = parse_heads(options.heads)
    else:
        heads = head_allocation(options.kind, options.depth, parse_heads(options.counts))
    return MMHDiTConfig(hidden=options.hidden, heads=heads)


def parse_heads(text: str) -> tuple[int, ...]:
    """Returns the counts in a text; raises ValueError for one that holds something else."""
    heads: list[int] = []
    for part in filter(None, re.split(r"[,;\s]+", text)):
        match = re.fullmatch(r"(\d{1,6})(?:[x*](\d{1,6}))?", part)
        if not match or len(heads) + int(match[2] or 1) > MOST_BLOCKS:
            raise ValueError(
                f"heads must be counts such as 8, 8, 16 or 8x12 for up to {MOST_BLOCKS} blocks; got {part!r}"
            )
        heads += [int(match[1])] * int(match[2] or 1)
    if not heads:
        raise ValueError("heads must name at least one block, such as 8x8, 16x8, 24x8, 48x8")
    return tuple(heads)


def write_heads(heads: Sequence[int]) -> str:
    """Returns the counts of all blocks one by one, as `presample train mmh-dit --heads` reads them."""
    return ",".join(map(str, heads))


def show_heads(config: MMHDiTConfig) -> str:
    """Returns a line for each run of equal blocks with the size of its heads, and one for the whole."""
    lines, first = [], 0
    for count, run in groupby(config.heads):
        last = first + len(list(run)) - 1
        blocks = f"block {first}" if first == last else f"blocks {first} to {last}"
        heads = "head" if count == 1 else "heads"
        lines.append(f"{blocks}: {count} {heads} of size {config.hidden // count}")
        first = last + 1
    blocks, sizes = config.depth, len(set(config.head_dims))
    whole = f"{blocks} block{'s' * (blocks > 1)}, {sizes} head size{'s' * (sizes > 1)}"
    lines.append(f"width {config.hidden}, {whole}")
    return "\n".join(lines)
