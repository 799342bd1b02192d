"""Length targets as numbers: how many tags and sentences a prompt has in the end.

A tag target is the bucket of training that its token names. Source: the training code of TIPO for the
buckets and their caps, which `limits` follows; tipo-kgen 0.3.1's own numbers under compat="kgen-0.3.1".
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of a finished prompt, the user's own words included."""

    min_tags: int
    max_tags: int
    min_sentences: int
    max_sentences: int


NONE = Limits(0, 0, 0, 0)

# Training: general tags in the sample, of which at most max_tags are kept; paragraphs times sentences of
# prose.
LIMITS = {
    "very_short": Limits(6, 18, 1, 2),
    "short": Limits(18, 36, 2, 4),
    "long": Limits(36, 48, 4, 8),
    "very_long": Limits(48, 72, 6, 18),
}

# KGen asks for more than the buckets hold: 54 tags for very_long (which begins at 48), 54 for long (capped
# at 48).
KGEN_LIMITS = {
    "very_short": Limits(6, 18, 1, 2),
    "short": Limits(18, 36, 2, 4),
    "long": Limits(36, 54, 4, 8),
    "very_long": Limits(54, 72, 8, 10000),
}

# The first number of general tags of each bucket, and (paragraphs, sentences in each) of its prose.
BUCKETS = {**{name: bounds.min_tags for name, bounds in LIMITS.items()}, "very_short": 0}
PARAGRAPHS = {"very_short": (1, 2), "short": (1, 4), "long": (2, 4), "very_long": (3, 6)}

_TABLES = {"none": LIMITS, "kgen-0.3.1": KGEN_LIMITS}
COMPATS = tuple(_TABLES)


def check_compat(compat: str) -> None:
    """Raises ValueError where `compat` is none of `COMPATS`."""
    if compat not in COMPATS:
        raise ValueError(f"compat must be {' or '.join(COMPATS)}, got {compat!r}")


def limits(length: str, compat: str = "none") -> Limits:
    """Returns the bounds of a length target; "none" is four zeros. Raises ValueError for an unknown name."""
    check_compat(compat)
    table = _TABLES[compat]
    if length == "none":
        return NONE
    if length not in table:
        raise ValueError(f"a length must be one of none, {', '.join(table)}; got {length!r}")
    return table[length]


def bucket(tags: int) -> str:
    """Returns the length under which training puts a sample of so many general tags."""
    return next(name for name in reversed(BUCKETS) if tags >= BUCKETS[name])
