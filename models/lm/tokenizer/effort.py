"""How much a matcher that goes back over its choices can try, reckoned from a pattern before it runs.

Convention: efforts are steps at one place of a text of LENGTH characters. A repetition without a bound has
LENGTH ways to match; what follows it is tried behind each of them, if it can fail. So a chain of such
repetitions takes the product of their lengths, and a repetition of what has several ways itself a power.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

LENGTH = 1_000
MOST_EFFORT = 20 * LENGTH
"""What a tokenizer's pattern may take. GPT-4o's, the largest published one, takes 8,000; two repetitions that
are tried in all their ways, such as `.*.*x`, take two million."""


@dataclass(frozen=True, slots=True)
class Effort:
    """What a part of a pattern takes: in how many `ways` it matches, the steps to try `all` of them and those
    until the `first` is found or there is none, and whether it is `sure` to match."""

    ways: float = 1
    all: float = 1
    first: float = 1
    sure: bool = False


CHARACTER = Effort()


def in_turn(parts: Sequence[Effort]) -> Effort:
    """Returns the effort of parts that follow each other."""
    ways = every = 1.0
    first = tail = 0.0
    sure = True
    for part in reversed(parts):
        every = part.all + part.ways * every
        if not sure:
            first = part.all + part.ways * first
        elif part.sure:
            tail += part.first
        else:  # the last one that can fail: nothing behind it sends the matcher back
            first = part.first
        ways, sure = ways * part.ways, sure and part.sure
    return Effort(ways, every, first + tail, sure)


def either(branches: Iterable[Effort]) -> Effort:
    """Returns the effort of alternatives."""
    found = tuple(branches)
    return Effort(
        sum(each.ways for each in found),
        sum(each.all for each in found),
        sum(each.first for each in found),
        any(each.sure for each in found),
    )


def repeated(part: Effort, least: int, most: int | None) -> Effort:
    """Returns the effort of a part from `least` to `most` times."""
    least, most = min(least, LENGTH), min(most if most is not None else LENGTH, LENGTH)
    before = _paths(part.ways, least)
    return Effort(
        max(_paths(part.ways, most + 1) - before, 1) if before < inf else inf,
        max(_paths(part.ways, most), 1) * part.all,
        1 if part == CHARACTER else (before and before * part.all) + most * part.first,
        least == 0 or part.sure,
    )


def _paths(ways: float, length: int) -> float:
    """1 + ways + ways² + … of `length` terms."""
    if ways == 1 or length < 2:
        return length
    return (ways**length - 1) / (ways - 1) if length < 32 and ways < inf else inf


def kept(part: Effort, *, sure: bool) -> Effort:
    """Returns the effort of an atomic part or one that looks around: the first way counts, for good."""
    return Effort(1, part.all, part.first, sure)
