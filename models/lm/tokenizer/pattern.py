r"""Tokenizer patterns (Oniguruma syntax, as in tokenizer.json) as Python `re` patterns with equal matches.

Convention: `\p{..}`, `\s`, `\w` and `\d` become explicit ranges of Unicode 16, since Python's `re` lacks the
first and defines the others differently; possessive and atomic groups become a captured lookahead, since
Python 3.10 lacks them. What cannot be said exactly in Python is a ValueError that quotes the pattern, and so
is what a text could make take very long: a pattern may be a stranger's.
Source: Oniguruma's RE document (Ruby syntax, the one the tokenizers library compiles with).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from .effort import CHARACTER, MOST_EFFORT, Effort, either, in_turn, kept, repeated
from .unicode import WORD_LATIN, Ranges, category_ranges, complement, space_ranges, union, word_ranges

_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}
_HEX_DIGITS = {"x": 2, "u": 4}
_LOOKS = ("?=", "?!", "?<=", "?<!")
_MAX_DEPTH = 50
_MAX_SOURCE = 2_000  # characters
_MAX_PATTERN = 400_000  # of Python's, whose classes are long: GPT-4o's has 127,000


@lru_cache(maxsize=64)
def compile_pattern(source: str) -> re.Pattern[str]:
    """Returns the Python pattern that matches what Oniguruma's does; raises ValueError if there is none."""
    if len(source) > _MAX_SOURCE:
        raise ValueError(
            f"a tokenizer's pattern must have at most {_MAX_SOURCE} characters, got {len(source)}"
        )
    try:
        pattern, effort = _Translator(source).translate()
        if len(pattern) > _MAX_PATTERN:
            raise ValueError(f"the tokenizer's pattern {source!r} has too many large classes")
        if not effort.first <= MOST_EFFORT:
            raise ValueError(
                f"the tokenizer's pattern {source!r} has repetitions that a text could make take very long; "
                "this is not supported"
            )
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"cannot read the tokenizer's pattern {source!r}: {error}") from error


def ranges_to_class(ranges: Ranges) -> str:
    """The inside of a `[...]` class that holds exactly the given ranges."""
    return "".join(_char(a) if a == b else f"{_char(a)}-{_char(b)}" for a, b in ranges)


def _char(code: int) -> str:
    return f"\\U{code:08x}" if code > 0xFF else f"\\x{code:02x}"


def _bounds(quantifier: str) -> tuple[int, int | None]:
    """The least and the most repetitions; None where there is no most."""
    if quantifier in "*+?":
        return int(quantifier == "+"), 1 if quantifier == "?" else None
    least, comma, most = quantifier[1:-1].partition(",")
    return int(least or 0), int(most) if most else None if comma else int(least)


def _word(kind: str) -> str:
    """One of the four escapes about words, outside brackets."""
    word = ranges_to_class(union((*word_ranges(), *WORD_LATIN)))
    if kind in "wW":
        return f"[{'^' if kind == 'W' else ''}{word}]"
    if kind == "b":
        return f"(?:(?<=[{word}])(?![{word}])|(?<![{word}])(?=[{word}]))"
    return f"(?:(?<=[{word}])(?=[{word}])|(?<![{word}])(?![{word}]))"


class _Part(NamedTuple):
    """A part of a pattern in Python's syntax, and what it takes."""

    text: str
    effort: Effort = CHARACTER


class _Translator:
    """One pass over a pattern; every `_x` method consumes its construct and returns Python source."""

    def __init__(self, source: str):
        self.source = source
        self.at = 0
        self.depth = 0
        self.captures = 0

    def translate(self) -> _Part:
        out = self._alternatives()
        if self.at < len(self.source):
            self._fail("an unmatched )")
        return out

    def _fail(self, what: str):
        raise ValueError(
            f"the tokenizer's pattern {self.source!r} has {what} at position {self.at}; this is not supported"
        )

    def _take(self, length: int = 1) -> str:
        text = self.source[self.at : self.at + length]
        if len(text) < length:
            self._fail("an early end")
        self.at += length
        return text

    def _has(self, text: str) -> bool:
        if self.source.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def _alternatives(self) -> _Part:
        branches: list[list[_Part]] = [[]]
        while self.at < len(self.source) and self.source[self.at] != ")":
            if self._has("|"):
                branches.append([])
            else:
                branches[-1].append(self._quantified(self._atom()))
        text = "|".join("".join(part.text for part in branch) for branch in branches)
        return _Part(text, either(in_turn([part.effort for part in branch]) for branch in branches))

    def _quantified(self, atom: _Part) -> _Part:
        match = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}|\{,\d+\}").match(self.source, self.at)
        if not match:
            return atom
        self.at = match.end()
        quantified = _Part(atom.text + match.group(), repeated(atom.effort, *_bounds(match.group())))
        if self._has("?"):
            if match.group()[0] == "{" and "," not in match.group():
                self._fail("a lazy fixed repetition")
            return quantified._replace(text=quantified.text + "?")
        if self._has("+"):
            if match.group()[0] == "{":
                return _Part(f"(?:{quantified.text})+", repeated(quantified.effort, 1, None))
            return self._atomic(quantified)
        return quantified

    def _atomic(self, inner: _Part) -> _Part:
        self.captures += 1
        text = f"(?:(?=(?P<_a{self.captures}>{inner.text}))(?P=_a{self.captures}))"
        return _Part(text, kept(inner.effort, sure=inner.effort.sure))

    def _atom(self) -> _Part:
        char = self._take()
        return self._group() if char == "(" else _Part(self._single(char))

    def _single(self, char: str) -> str:
        """A character, a class or a place."""
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        if char == "^":
            return r"(?:\A|(?<=\n)(?!\Z))"
        if char == "$":
            return "(?m:$)"
        if char == ".":
            return r"[^\n]"
        if char in "*+?":
            self._fail("a repetition of nothing")
        return re.escape(char)

    def _group(self) -> _Part:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self._fail(f"groups nested deeper than {_MAX_DEPTH}")
        head, atomic = self._group_head()
        inner = self._alternatives()
        if not self._has(")"):
            self._fail("an unclosed group")
        self.depth -= 1
        if atomic:
            return self._atomic(inner)
        effort = kept(inner.effort, sure=False) if head in _LOOKS else inner.effort
        return _Part(f"({head}{inner.text})", effort)

    def _group_head(self) -> tuple[str, bool]:
        if self._has("?>"):
            return "", True
        for look in _LOOKS:
            if self._has(look):
                return look, False
        # Captures have no use here, and their numbers would clash with ours.
        named = re.compile(r"\?(?:<[^\W\d]\w*>|(i?(?:-i)?):)|(?!\?)").match(self.source, self.at)
        if not named:
            self._fail("a group of an unknown kind")
        self.at = named.end()
        return f"?{named.group(1) or ''}:", False

    def _escape(self) -> str:
        start = self.at
        char = self._take()
        if char in "wWbB":
            return _word(char)
        if char in "AzZ":
            return {"A": r"\A", "z": r"\Z", "Z": r"(?=\n?\Z)"}[char]
        self.at = start
        return f"[{ranges_to_class(self._escaped_ranges())}]"

    def _escaped_ranges(self) -> Ranges:
        """The set that an escape inside or outside a class stands for; `at` is behind the backslash."""
        char = self._take()
        if char in "pP":
            return self._property(negate=char == "P")
        if char in "sSdDwW":
            plain = {"s": space_ranges, "w": word_ranges, "d": lambda: category_ranges("Nd")}[char.lower()]()
            return complement(plain) if char.isupper() else plain
        if char in _HEX_DIGITS:
            return self._hexadecimal(char)
        if char.isascii() and char.isalnum() and char not in _CONTROL:
            self._fail(f"the escape \\{char}")
        code = ord(_CONTROL.get(char, char))
        return ((code, code),)

    def _property(self, negate: bool) -> Ranges:
        match = re.compile(r"\{(\^?)(\w+)\}").match(self.source, self.at)
        if not match:
            self._fail("an unreadable \\p")
        self.at = match.end()
        found = category_ranges(match.group(2))
        return complement(found) if negate != bool(match.group(1)) else found

    def _hexadecimal(self, kind: str) -> Ranges:
        length = _HEX_DIGITS[kind]
        match = re.compile(rf"\{{([0-9a-fA-F]{{1,6}})\}}|([0-9a-fA-F]{{{length}}})").match(
            self.source, self.at
        )
        if not match or int(match.group(1) or match.group(2), 16) > 0x10FFFF:
            self._fail(f"an unreadable \\{kind}")
        self.at = match.end()
        code = int(match.group(1) or match.group(2), 16)
        return ((code, code),)

    def _class(self) -> str:
        negate = self._has("^")
        found: list[tuple[int, int]] = []
        first = True
        while first or not self._has("]"):
            if self.source.startswith(("[", "&&"), self.at):
                self._fail("a class inside a class")
            found += self._class_item()
            first = False
        ranges = union(found)
        return f"[{'^' if negate else ''}{ranges_to_class(ranges)}]"

    def _class_item(self) -> Ranges:
        low = self._class_atom()
        if not self.source.startswith("-", self.at) or self.source.startswith("-]", self.at):
            return low
        self.at += 1
        high = self._class_atom()
        single = len(low) == len(high) == 1 and low[0][0] == low[0][1] and high[0][0] == high[0][1]
        if not single:
            return union((*low, (ord("-"), ord("-")), *high))
        if low[0][0] > high[0][0]:
            self._fail("a reversed range")
        return ((low[0][0], high[0][0]),)

    def _class_atom(self) -> Ranges:
        char = self._take()
        return self._escaped_ranges() if char == "\\" else ((ord(char), ord(char)),)
