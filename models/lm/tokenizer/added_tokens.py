"""Finds added tokens (`<s>`, `<|long|>`, …) in text: leftmost first, the longest of those that begin there.

Convention: a text is cut into ids and (start, end) spans of ordinary text, in order.
Source: the `added_tokens` of tokenizer.json; behaviour checked against the tokenizers library 0.23.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .unicode import is_space, is_word

_CONTROL_LIKE = re.compile(r"<\|[^|<>\s]+\|>")


@dataclass(frozen=True, slots=True)
class AddedToken:
    """One token that is found in the text before the vocabulary has a say.

    `normalized` looks for it in the normalized text; `lstrip` and `rstrip` take the blanks beside it along;
    `single_word` wants no word character next to it; `special` leaves it out of decoded text.
    """

    content: str
    id: int
    special: bool = False
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False

    @property
    def control(self) -> bool:
        """Whether it is no part of a text: special, or of the form `<|name|>` whatever its flags say."""
        return self.special or _CONTROL_LIKE.fullmatch(self.content) is not None


class Matcher:
    """Cuts text at the given patterns, each of which stands for an added token."""

    def __init__(self, patterns: Iterable[tuple[str, AddedToken]]):
        self._tokens = {pattern: token for pattern, token in patterns if pattern}
        lengths: dict[str, set[int]] = {}
        for pattern in self._tokens:
            lengths.setdefault(pattern[0], set()).add(len(pattern))
        self._lengths = {first: sorted(sizes, reverse=True) for first, sizes in lengths.items()}
        firsts = "".join(map(re.escape, self._lengths))
        self._first = re.compile(f"[{firsts}]") if firsts else None

    def split(self, text: str) -> list[int | tuple[int, int]]:
        """The ids of the tokens found, and the spans between them; no span is empty."""
        parts: list[int | tuple[int, int]] = []
        done = at = 0
        while found := self._next(text, at):
            start, at, token = found
            if token.single_word and not _alone(text, start, at):
                continue
            if token.lstrip:
                start = max(_blanks_before(text, start), done)
            if done < start:
                parts.append((done, start))
            parts.append(token.id)
            done = _blanks_behind(text, at) if token.rstrip else at
        if done < len(text):
            parts.append((done, len(text)))
        return parts

    def _next(self, text: str, at: int) -> tuple[int, int, AddedToken] | None:
        if self._first is None:
            return None
        for candidate in self._first.finditer(text, at):
            start = candidate.start()
            for length in self._lengths[text[start]]:
                found = text[start : start + length]
                if found in self._tokens:
                    return start, start + len(found), self._tokens[found]
        return None


def _alone(text: str, start: int, end: int) -> bool:
    left = start == 0 or not is_word(text[start - 1])
    return left and (end == len(text) or not is_word(text[end]))


def _blanks_before(text: str, at: int) -> int:
    while at > 0 and is_space(text[at - 1]):
        at -= 1
    return at


def _blanks_behind(text: str, at: int) -> int:
    while at < len(text) and is_space(text[at]):
        at += 1
    return at
