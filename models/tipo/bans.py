r"""Bans: which additions a user never wants to see.

Convention: one pattern a line or comma (`，` and `、` too). Plain text bans the tag it equals (case, `_` for
a blank and prompt escapes make no difference), and in sentences its words and their plural. `*` stands for
any characters, `/.../` is a regular expression for a whole tag (`/.../i`: upper and lower case alike; a comma
inside belongs to it). `:)`, `^_^` and `?` are plain text. Bans concern additions only: whoever calls `match`
never asks about the user's own words.
Source: what users of KGen's ban list ran into: `hat` also banned "that girl", and `:)` was a crash.
`mode="substring"` keeps KGen's reach: a part of a tag is enough, or a bare expression at its start.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ..prompt.document import canonical, unescape
from .options import BAN_MODES
from .pattern import KINDS, Pattern, PatternError, compile_pattern, compile_wildcard

MAX_PARTS = 5_000  # states of all expressions of one list together
META = frozenset("[](){}*+?.|^$")
_HISSES = re.compile(r"(?:s|x|z|ch|sh)\Z")
_IN_Y = re.compile(r"[^\Waeiou_]y\Z")
_COMMA = re.compile("[,，、]")  # those that part the tags of a prompt
# An escaped character, or a slash before a pattern's end.
_CLOSE = re.compile(rf"\\.|(/)[gimsuxy]*\s*(?={_COMMA.pattern}|$)")


class BadPattern(ValueError):
    """A ban pattern that cannot be used; `pattern` is as it was written, the message says what is allowed."""

    def __init__(self, pattern: str, reason: object):
        super().__init__(f"ban pattern {pattern!r}: {reason}")
        self.pattern = pattern


@dataclass(frozen=True)
class Rule:
    """A pattern that is more than plain text: how it reads a tag, and how it reads words of a sentence."""

    written: str
    tag: Pattern
    words: Pattern
    reach: str = "whole"  # of the tag: "whole", "part", or "start"
    spelled: bool = False  # reads upper case as such, and the tag once more with its underscores

    def bans(self, tag: str) -> bool:
        matches = {"whole": self.tag.fullmatch, "part": self.tag.search, "start": self.tag.prefix}[self.reach]
        underscored = tag.replace(" ", "_") if self.spelled and len(tag) >= 4 else tag
        return matches(tag) or (underscored != tag and matches(underscored))


@dataclass(frozen=True)
class Bans:
    """A compiled list of bans; false when it is empty."""

    plain: Mapping[str, str]  # canonical tag -> pattern as written
    rules: tuple[Rule, ...] = ()
    mode: str = "tag"
    exact: Mapping[str, str] = field(default_factory=dict)  # canonical tag -> tag: no patterns, in every mode

    def __bool__(self) -> bool:
        return bool(self.plain or self.rules or self.exact)

    @cached_property
    def _phrases(self) -> Mapping[str, str]:
        """What no sentence may say, in its own form and in the plural, with the pattern as written."""
        listed = {**self.exact, **self.plain}
        return {form: written for phrase, written in listed.items() for form in (phrase, plural(phrase))}

    def match(self, tag: str) -> str | None:
        """Returns the pattern, as it was written, that bans `tag`; None when it may be added."""
        key = canonical(tag)
        if written := self.plain.get(key) or self.exact.get(key):
            return written
        if self.mode == "substring":
            for part, written in self.plain.items():
                if part in key:
                    return written
        spelled = _spelled(tag) if self.rules else ""
        for rule in self.rules:
            if rule.bans(spelled if rule.spelled else key):
                return rule.written
        return None

    def match_sentence(self, sentence: str) -> str | None:
        """Returns the pattern that bans a run of whole words of `sentence`, or None; plurals count too."""
        spelled = " ".join(unescape(sentence).split())
        text = spelled.lower()
        for phrase, written in self._phrases.items():
            if _holds(text, phrase):
                return written
        for rule in self.rules:
            if rule.words.search(spelled if rule.spelled else text):
                return rule.written
        return None


def compile_bans(text: str, *, mode: str = "tag", exact: Iterable[str] = ()) -> Bans:
    """Returns the bans that `text` lists, one a line or comma; see the module for what a pattern may be.

    `exact` are tags that are banned as they stand, whatever signs they have.

    Raises BadPattern, which names the pattern and what is understood, and ValueError for an unknown mode.
    """
    if mode not in BAN_MODES:
        raise ValueError(f"mode must be one of {', '.join(BAN_MODES)}; got {mode!r}")
    plain: dict[str, str] = {}
    rules: dict[str, Rule] = {}
    parts = 0
    for written, source, flags in _entries(text):
        if source is None and "*" not in written and (key := canonical(written)):
            plain.setdefault(key, written)
        if written in rules:
            continue
        rule = _rule(written, source, flags=flags, mode=mode)
        if rule is not None:
            rules[written] = rule
            parts += len(rule.tag.targets)
        if parts > MAX_PARTS:
            raise BadPattern(written, f"all expressions together may have {MAX_PARTS} parts; use fewer")
    keys = {canonical(tag): tag for tag in exact}
    return Bans(plain, tuple(rules.values()), mode, {key: tag for key, tag in keys.items() if key})


def _rule(written: str, source: str | None, *, flags: str, mode: str) -> Rule | None:
    """Returns what a pattern means beside its plain text: None for plain text."""
    part = "part" if mode == "substring" else "whole"
    try:
        if flags not in ("", "i"):
            raise BadPattern(written, f"after the last / may stand i or nothing, got {flags!r}")
        if source is not None:
            return _expression(written, source, reach=part, ignore_case=flags == "i")
        if "*" in written:
            key = canonical(written)
            return Rule(written, compile_wildcard(key), compile_wildcard(key, words=True), reach=part)
    except PatternError as error:
        position = error.position + (source is not None)  # counted from the opening /
        raise BadPattern(written, PatternError(error.reason, position)) from error
    if mode == "substring" and META.intersection(written):
        try:
            return _expression(written, written, reach="start", ignore_case=True)
        except PatternError:
            return None  # as in `:(`, which is plain text
    return None


def _expression(written: str, source: str, *, reach: str, ignore_case: bool) -> Rule:
    tag = compile_pattern(source, ignore_case=ignore_case)
    words = compile_pattern(source, ignore_case=ignore_case, words=True)
    return Rule(written, tag, words, reach=reach, spelled=True)


def list_words(text: str) -> list[str]:
    """Returns the words of a list that has no patterns, one a line or comma."""
    words = _COMMA.sub("\n", text).split("\n")
    return [word.strip() for word in words if word.strip()]


def _entries(text: str) -> Iterator[tuple[str, str | None, str]]:
    """Yields each pattern as written; for `/source/flags` also its two parts, else None and ""."""
    for line in text.split("\n"):
        closes = [found.start(1) for found in _CLOSE.finditer(line) if found[1]]
        at = 0
        while at < len(line):
            if _COMMA.match(line, at) or line[at].isspace():
                at += 1
                continue
            close = _closing(line, at, closes) if line[at] == "/" else None
            comma = _COMMA.search(line, at if close is None else close)
            end = comma.start() if comma else len(line)
            written = line[at:end].strip()
            if close is not None:
                yield written, line[at + 1 : close], line[close + 1 : end].strip()
            elif written[0] == "/" and META.intersection(written):
                raise BadPattern(written, "a regular expression must be closed, as in /.../ or /.../i")
            else:
                yield written, None, ""
            at = end + 1


def _closing(line: str, at: int, closes: list[int]) -> int | None:
    """Returns where the expression is closed that opens at `at`; None when it is plain text, as `///` is."""
    i = bisect_right(closes, at)
    return closes[i] if i < len(closes) and line[at + 1 : closes[i]].strip("/") else None


def _spelled(tag: str) -> str:
    """Returns `tag` unescaped and with the blanks that `canonical` gives it, in its own case."""
    plain = unescape(tag)
    return " ".join((plain.replace("_", " ") if len(plain) >= 4 else plain).split())


def plural(phrase: str) -> str:
    """Returns the regular English plural of a phrase; the phrase itself where it does not end in a word."""
    if _HISSES.search(phrase):
        return phrase + "es"
    if _IN_Y.search(phrase):
        return phrase[:-1] + "ies"
    return phrase + "s" if phrase[-1:].isalpha() else phrase


def _holds(text: str, phrase: str) -> bool:
    """True when `phrase` stands in `text` and neither begins nor ends inside a word."""
    at = text.find(phrase)
    while at >= 0:
        if not (_in_word(text, at) or _in_word(text, at + len(phrase))):
            return True
        at = text.find(phrase, at + 1)
    return False


def _in_word(text: str, at: int) -> bool:
    return 0 < at < len(text) and KINDS["w"](text[at - 1]) and KINDS["w"](text[at])
