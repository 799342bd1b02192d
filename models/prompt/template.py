"""Templates with placeholders, filled in one pass: what is filled in is never looked at again.

Only the template's own text is tidied. An empty placeholder takes the comma or full stop after it along; what
remains of doubled commas, blanks, empty brackets and lines with nothing but punctuation goes too.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .sentences import ends_sentence

CATEGORIES = ("special", "characters", "copyrights", "artist", "general", "quality", "meta", "rating")
PLACEHOLDERS = ("prompt", "kept", "tags", "prose", *CATEGORIES, "extended", "generated")

_SLOT = re.compile(r"<\|([^|<>]*)\|>")
_EATEN = re.compile(r"[ \t]*[,.]?[ \t]*")
_EMPTY_BRACKETS = re.compile(r"\(\s*(?::\s*[\d.]+\s*)?\)|\[\s*\]")
_SEPARATION = " \t\r\n,."


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a template: literal text, or (`slot`) the name of a placeholder and, later, its value."""

    text: str
    slot: bool


def parse(template: str) -> tuple[Part, ...]:
    """Returns the parts of a template.

    Raises ValueError for a placeholder that is unknown, named together with the valid ones, or stands twice.
    """
    parts: list[Part] = []
    for i, text in enumerate(_SLOT.split(template)):
        if not i % 2:
            parts.append(Part(text, slot=False))
            continue
        if text not in PLACEHOLDERS:
            valid = ", ".join(f"<|{name}|>" for name in PLACEHOLDERS)
            raise ValueError(f"a template may hold {valid}; got <|{text}|>")
        if Part(text, slot=True) in parts:
            raise ValueError(f"a placeholder may stand once in a template, got <|{text}|> twice")
        parts.append(Part(text, slot=True))
    return tuple(part for part in parts if part.text)


def slots(parts: Sequence[Part]) -> frozenset[str]:
    """Returns the names of the placeholders."""
    return frozenset(part.text for part in parts if part.slot)


def render(
    parts: Sequence[Part], values: Mapping[str, str], *, single_line: bool = False
) -> tuple[str, str, str]:
    """Returns (before, text, after): the parts filled and tidied, and the blanks and commas that separate the
    text from what stands before and after it. `single_line` writes no line break."""
    filled = _without_empty(parts, values)
    text = before = after = ""
    for i, part in enumerate(filled):
        if part.slot:
            text += part.text
            continue
        literal = _tidy(part.text, text)
        if not i:
            visible = literal.lstrip(_SEPARATION)
            before, literal = literal[: len(literal) - len(visible)], visible
        if i + 1 == len(filled):
            visible = literal.rstrip(" \t\r\n,")
            after, literal = literal[len(visible) :], visible
        elif i and not literal:
            literal = " " if ends_sentence(text) else ", "
        text += _on_one_line(literal, text) if single_line else literal
    return before, text, after


def _without_empty(parts: Sequence[Part], values: Mapping[str, str]) -> list[Part]:
    """Placeholders by their values, neighbouring literals as one, and always a literal between two values."""
    filled = [Part("", slot=False)]
    eat = False
    for part in parts:
        if not part.slot:
            text = _EATEN.sub("", part.text, count=1) if eat else part.text
            filled[-1] = Part(filled[-1].text + text, slot=False)
            eat = False
        elif value := values.get(part.text, ""):
            filled += [Part(value, slot=True), Part("", slot=False)]
            eat = False
        else:
            eat = True
    return filled


def _tidy(literal: str, before: str) -> str:
    literal = _EMPTY_BRACKETS.sub("", re.sub(r"[ \t]+", " ", literal))
    literal = re.sub(r",[\s,]*,", lambda match: "," + match.group().replace(",", ""), literal)
    literal = re.sub(r" ?\r?\n ?", "\n", literal)
    literal = re.sub(r"\n[.,]+(?=\n|\Z)", "\n", literal)
    if ends_sentence(before):
        literal = re.sub(r"\A[.,]", "", literal)
    return re.sub(r"  +", " ", re.sub(r"\n{3,}", "\n\n", literal))


def _on_one_line(literal: str, before: str) -> str:
    def blank(match: re.Match[str]) -> str:
        closed = (
            "," in match.group() or "." in match.group() or ends_sentence(before + literal[: match.start()])
        )
        return match.group().replace("\n", " ") if closed else ", "

    return re.sub(r"  +", " ", re.sub(r"[,. ]*\n[\n ]*", blank, literal))
