"""How many tokens of a prompt the model reads, and whether it sees what fills a shorter one up.

Convention: a token is a tuple whose first item is its id, or an embedding in the place of one; hosts put
weights behind it. Source: spec 2.2 (length 256, padding masked).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..options import option, validate

PADDINGS = ("none", "visible")

Token = tuple[Any, ...]


@dataclass(frozen=True)
class TextOptions:
    """How a prompt is cut and filled up."""

    length: int = option(
        256,
        "Tokens that a longer prompt is cut to, its end included; at most 128 for the little world's CLIP.",
        low=2,
        high=4096,
    )
    padding: str = option(
        "none",
        "none hands over the prompt alone; visible fills it up to length, for a model that was trained so.",
        choices=PADDINGS,
    )

    def __post_init__(self):
        validate(self)


def fit(tokens: Sequence[Token], *, end: Token, pad: Token, options: TextOptions) -> list[Token]:
    """Returns the tokens of a prompt as the model is to read them; a longer one loses its end, not `end`.

    Padding that a host has put behind them is taken away first.
    """
    words = without_end(tokens, end=end, pad=pad)
    cut = [*words[: options.length - 1], end]
    filling = options.length - len(cut) if options.padding == "visible" else 0
    return cut + [pad] * filling


def without_end(tokens: Sequence[Token], *, end: Token, pad: Token) -> list[Token]:
    """Returns the tokens without the end of the prompt and what fills it up."""
    words = list(tokens)
    while words and isinstance(words[-1][0], int) and words[-1][0] in (end[0], pad[0]):
        words.pop()
    return words
