"""A prompt taken apart into regions and units, so that text can be added and nothing else changes.

    document = read(prompt)
    document.replace([region.text for region in document.regions]) == prompt

Regions are separated by BREAK (outside brackets that are closed again, where A1111 honours it), by AND with
its weight, and in `regions="lines"` by line breaks. Comments, blanks and opaque spans stay in the region.
A unit is a comma-separated item outside brackets, or a run of prose; `Unit.terms` may be shown to a model.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from .escape import canonical, escape, unescape
from .forms import prose_flags
from .sentences import ends_sentence, split_sentences
from .syntax import Kind, Span, depths, leaves_network_open, lex
from .units import Known, Piece, pieces, prose_terms, tag_terms

__all__ = ["Document", "Region", "Unit", "canonical", "escape", "read", "split_sentences", "unescape"]

REGIONS = ("break", "lines", "off")
FORMS = ("auto", "tags", "prose")

_KEYWORD = re.compile(r"[\w:]")


@dataclass(frozen=True)
class Unit:
    """One item of a region. `text` is `region.text[start:end]`, without blanks around it; `terms` are its
    tags, or its one phrase when it is `prose`, unescaped and without weights, empty when there is nothing to
    show a model; `protected` says that it holds an opaque span."""

    text: str
    start: int
    end: int
    terms: tuple[str, ...]
    prose: bool = False
    protected: bool = False


@dataclass(frozen=True)
class Region:
    """A part of a prompt that is expanded by itself, and how text may be added to it: on a `single_line`,
    without the characters of `forbidden` (an unclosed `<lora:` stands before), in the `comments` style."""

    text: str
    units: tuple[Unit, ...]
    single_line: bool = False
    forbidden: str = ""
    comments: str = "auto"

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the region, in order."""
        return tuple(term for unit in self.units if not unit.prose for term in unit.terms)

    @property
    def prose(self) -> str:
        """The prose of the region as one text; units that end no sentence get a full stop or a comma."""
        said = [term for unit in self.units if unit.prose for term in unit.terms]
        return "".join(_joined(said))


@dataclass(frozen=True)
class Document:
    """A prompt as regions and, verbatim, the text between them: `parts` alternate freely."""

    parts: tuple[Region | str, ...]

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        return tuple(part for part in self.parts if isinstance(part, Region))

    @property
    def source(self) -> str:
        """The prompt, byte for byte."""
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    @property
    def plain(self) -> str:
        """What the prompt says, for a text encoder that knows no syntax: a line for the tags of each region
        and one for its prose, without weights, networks, comments and what is chosen while sampling."""
        lines = [line for region in self.regions for line in (", ".join(region.tags), region.prose) if line]
        return "\n".join(lines)

    def replace(self, texts: Sequence[str]) -> str:
        """Returns the prompt with a new text for each region.

        A blank is put in where a new text would touch BREAK, AND or its weight. Raises ValueError unless
        there is one text for every region.
        """
        if len(texts) != len(self.regions):
            raise ValueError(
                f"texts must have one text for each of {len(self.regions)} regions, got {len(texts)}"
            )
        given = iter(texts)
        old = new = result = ""
        for part in self.parts:
            if isinstance(part, str):
                text, keyword = part, part[:1]
                changed = not old or not new.endswith(old[-16:])
            else:
                old, new = part.text, next(given)
                text, keyword = new, result[-1:]
                changed = not old or not new.startswith(old[:16])
            apart = result[-1:].isspace() or text[:1].isspace() or not result or not text
            result += " " + text if changed and _KEYWORD.match(keyword) and not apart else text
        return result


def read(
    prompt: str,
    *,
    protect: Sequence[str] = (),
    regions: str = "break",
    form: str = "auto",
    comments: str = "auto",
    known: Known | None = None,
) -> Document:
    """Returns the prompt's document.

    `form` decides between tags and prose ("auto": each piece for itself; `known(text)` may then say that a
    text is a tag). With `regions="off"` the prompt is one region; only the AND weight at its very end stays
    outside, for text after it would undo it. Raises ValueError for an unknown choice.
    """
    if regions not in REGIONS:
        raise ValueError(f"regions must be one of {', '.join(REGIONS)}; got {regions!r}")
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}; got {form!r}")
    spans = lex(prompt, protect=protect, comments=comments)
    inside = depths(spans)
    parts: list[Region | str] = []
    first, forbidden = 0, ""
    separators, weight_ends = _separators(spans, inside, regions)
    for start, stop in [*separators, (len(spans), len(spans))]:
        own = spans[first:start]
        units = _units(own, inside[first:start], form, known)
        parts.append(Region(_text(own), units, regions == "lines", forbidden, comments))
        if leaves_network_open(_text(own)):
            forbidden = ">"
        parts.append(_text(spans[start:stop]))
        first = stop
    return Document(tuple(parts[:-2] if weight_ends else parts[:-1]))


def _separators(
    spans: Sequence[Span], inside: Sequence[int], regions: str
) -> tuple[list[tuple[int, int]], bool]:
    """Index ranges of the spans between regions; and whether the last is a weight, after which none is."""
    found: list[tuple[int, int]] = []
    weight = None
    for i, span in enumerate(spans):
        if span.kind is Kind.AND and not span.text.endswith("AND"):
            weight = i
        elif span.kind is Kind.AND and regions != "off":
            found.append((i if weight is None else weight, i + 1))
            weight = None
        elif span.kind is Kind.AND:
            weight = None
        elif weight is None and not inside[i]:
            is_line = span.kind is Kind.NEWLINE and regions == "lines"
            if is_line or (span.kind is Kind.BREAK and regions != "off"):
                found.append((i, i + 1))
    if weight is not None:
        found.append((weight, len(spans)))
    return found, weight is not None


def _units(spans: Sequence[Span], inside: Sequence[int], form: str, known: Known | None) -> tuple[Unit, ...]:
    if not spans:
        return ()
    region, origin = _text(spans), spans[0].start
    found = pieces(spans, inside, sentences=form != "tags")
    units: list[Unit] = []
    for run, prose in _runs(found, prose_flags(found, form, known)):
        start, end = run[0].spans[0].start - origin, run[-1].spans[-1].end - origin
        written = region[start:end]
        start, end = end - len(written.lstrip()), start + len(written.rstrip())
        own = _with_commas(run, region, origin)
        terms = prose_terms(own) if prose else tag_terms(own)
        units.append(Unit(region[start:end], start, end, terms, prose, any(p.opaque for p in run)))
    return tuple(units)


def _runs(found: Sequence[Piece], flags: Sequence[bool]) -> Iterator[tuple[list[Piece], bool]]:
    """Each tag by itself, and neighbouring pieces of prose on one line together."""
    run: list[Piece] = []
    for piece, prose in zip(found, flags, strict=True):
        if run and not (prose and piece.line == run[0].line):
            yield run, True
            run = []
        if prose:
            run.append(piece)
        else:
            yield [piece], False
    if run:
        yield run, True


def _with_commas(run: Sequence[Piece], region: str, origin: int) -> list[Span]:
    own = list(run[0].spans)
    for piece in run[1:]:
        gap = own[-1].end
        own.append(Span(Kind.TEXT, region[gap - origin : piece.spans[0].start - origin], gap))
        own.extend(piece.spans)
    return own


def _text(spans: Sequence[Span]) -> str:
    return "".join(span.text for span in spans)


def _joined(said: Sequence[str]) -> Iterator[str]:
    for i, phrase in enumerate(said):
        yield phrase
        if i + 1 < len(said):
            between = ", " if said[i + 1][:1].islower() else ". "
            yield " " if ends_sentence(phrase) or phrase.endswith(",") else between
