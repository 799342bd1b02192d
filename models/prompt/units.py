"""Pieces of a region: what stands between commas, line breaks and sentence ends, and what each one says.

A comma counts only outside brackets that are closed again: `(red hair, blue eyes:1.2)` is one piece that says
two things. What a host removes from the prompt (networks, comments), what has no grammar (embeddings) and
protected words are passed over; what a host replaces by words we cannot know (`__x__`, `{a|b}`, `[a:b:0.5]`)
silences the tag or sentence it stands in, since half a tag would mislead a model.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .escape import unescape
from .sentences import boundaries, ends_sentence, split_sentences
from .syntax import OPAQUE, Kind, Span

Known = Callable[[str], bool]
"""Says that a text is a known tag."""

_UNKNOWN = "\0"
_REPLACED = frozenset({Kind.WILDCARD, Kind.VARIANT, Kind.EDIT, Kind.ALTERNATE})
_PASSED_OVER = frozenset({Kind.NETWORK, Kind.COMMENT, Kind.EMBEDDING, Kind.PROTECTED, Kind.NEWLINE})
_SEPARATES = frozenset({Kind.COMMA, Kind.BREAK, Kind.AND, Kind.NEWLINE})
_SAYS_NOTHING = re.compile(r"[\s.,;:|/\\*\"'`~=+–—-]?\Z")
_LOOSE_WEIGHT = re.compile(r"\s*:\s*[-+]?[\d.]+\Z")
_LOOSE_CLOSER = re.compile(r"(?<=\w\w)(?::[-+]?[\d.]+)?[)\]]+\Z")
_BLANK_BEFORE_POINT = re.compile(r" +(?=[,.](?:\s|$))")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of spans on one line (counted by `line`) with no separator in it, and what it says."""

    spans: tuple[Span, ...]
    line: int
    phrase: str

    @property
    def words(self) -> list[str]:
        return self.phrase.split()

    @property
    def ends(self) -> bool:
        return ends_sentence(self.phrase)

    @property
    def opaque(self) -> bool:
        return any(span.kind in OPAQUE for span in self.spans)


def pieces(spans: Sequence[Span], depths: Sequence[int], *, sentences: bool = True) -> list[Piece]:
    """Returns the pieces of a region in order, none blank; `sentences` also cuts where a sentence ends."""
    found: list[Piece] = []
    for line, item in _items(spans, depths):
        for part in _at_sentence_ends(item) if sentences else [[span for span, _ in item]]:
            if "".join(span.text for span in part).strip():
                found.append(Piece(tuple(part), line, phrase(part)))
    return found


def phrase(spans: Sequence[Span]) -> str:
    """Returns what the spans say, as one phrase; words we cannot know are marked by a NUL."""
    said = " ".join(_say(spans, split=False)).split()
    return _BLANK_BEFORE_POINT.sub("", " ".join(said))


def tag_terms(spans: Sequence[Span]) -> tuple[str, ...]:
    """Returns the tags that the spans name, without brackets, weights and escapes."""
    half_open = any(s.kind is Kind.OPEN for s in spans) and not any(s.kind is Kind.CLOSE for s in spans)
    said = (" ".join(term.split()) for term in _say(spans, split=True))
    terms = (_tidy(term, half_open) for term in said if _UNKNOWN not in term)
    return tuple(term for term in terms if not _SAYS_NOTHING.match(term))


def prose_terms(spans: Sequence[Span]) -> tuple[str, ...]:
    """Returns the one phrase that the spans say, less the sentences that hold words we cannot know."""
    said = " ".join(s for s in split_sentences(phrase(spans)) if _UNKNOWN not in s)
    return () if _SAYS_NOTHING.match(said) else (said,)


def is_line_comment(span: Span) -> bool:
    """Returns whether a span is a comment that runs to the end of its line."""
    return span.kind is Kind.COMMENT and not span.text.startswith("/*")


def _items(spans: Sequence[Span], depths: Sequence[int]) -> Iterator[tuple[int, list[tuple[Span, int]]]]:
    """What stands between separators, as (line, [(span, depth)]); a line comment stands by itself."""
    line, item = 0, []
    for span, depth in zip(spans, depths, strict=True):
        alone = not depth and (is_line_comment(span) or span.kind in (Kind.BREAK, Kind.AND))
        if not alone and (depth or span.kind not in _SEPARATES):
            item.append((span, depth))
            continue
        yield line, item
        item = []
        if alone:
            yield line, [(span, depth)]
        line += span.kind in (Kind.NEWLINE, Kind.BREAK, Kind.AND)
    yield line, item


def _at_sentence_ends(item: list[tuple[Span, int]]) -> Iterator[list[Span]]:
    if not item:
        return
    visible = (
        span.text if span.kind is Kind.TEXT and not depth else "x" * len(span.text) for span, depth in item
    )
    origin = item[0][0].start
    cuts = iter(boundaries("".join(visible)))
    cut = next(cuts, None)
    part: list[Span] = []
    for span, _ in item:
        while cut is not None and origin + cut < span.end:
            at = origin + cut - span.start
            if at > 0:
                part.append(Span(span.kind, span.text[:at], span.start))
                span = Span(span.kind, span.text[at:], span.start + at)
            yield part
            part, cut = [], next(cuts, None)
        part.append(span)
    yield part


def _say(spans: Sequence[Span], *, split: bool) -> Iterator[str]:
    said: list[str] = []
    for span in _wanted(spans):
        if split and span.kind in _SEPARATES:
            yield "".join(said)
            said = []
        elif span.kind in _REPLACED:
            said.append(_UNKNOWN)
        elif span.kind in _PASSED_OVER or span.kind in (Kind.BREAK, Kind.AND):
            said.append(" ")
        elif span.kind in (Kind.TEXT, Kind.COMMA):
            said.append(span.text)
        elif span.kind is Kind.ESCAPE:
            said.append(unescape(span.text))
    yield "".join(said)


def _wanted(spans: Sequence[Span]) -> Iterator[Span]:
    """The spans but for brackets of a weight below zero: hosts that know such a weight take those away."""
    opened, away = [], set()
    for i, span in enumerate(spans):
        if span.kind is Kind.OPEN:
            opened.append(i)
        elif span.kind is Kind.CLOSE and opened:
            begin = opened.pop()
            if spans[i - 1].kind is Kind.WEIGHT and "-" in spans[i - 1].text:
                away.update(range(begin, i))
    return (span for i, span in enumerate(spans) if i not in away)


def _tidy(term: str, half_open: bool) -> str:
    """A tag without the full stop that ends a list, and without what is left of a bracket with no partner."""
    if half_open:
        term = _LOOSE_WEIGHT.sub("", term)
    if "(" not in term and "[" not in term:
        term = _LOOSE_CLOSER.sub("", term)
    return term[:-1] if term.endswith(".") and "." not in term[:-1] and term[-2:-1].isalnum() else term
