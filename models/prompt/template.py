"""Templates with placeholders, filled in one pass: what is filled in is never looked at again.

Only the template's own text is tidied. An empty placeholder takes the comma or full stop after it along; what
remains of doubled commas, blanks, empty brackets and lines with nothing but punctuation goes too.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .sentences import ends_sentence

CATEGORIES = ("special", "characters", "copyrights", "artist", "general", "quality", "meta", "rating")
PLACEHOLDERS = ("prompt", "kept", "tags", "prose", *CATEGORIES, "extended", "generated")
PROSE = frozenset({"prose", "extended", "generated"})

_SLOT = re.compile(r"<\|([^|<>]*)\|>")
_EATEN = re.compile(r"[ \t]*[,.]?[ \t]*")
_EMPTY_BRACKETS = re.compile(r"\(\s*(?::\s*[\d.]+\s*)?\)|\[\s*\]")
_SEPARATION = " \t\r\n,."


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a template: literal text, or (`slot`) the name of a placeholder."""

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


class Filled(NamedTuple):
    """A filled template: the blanks and commas that separate its text from what stands `before` and `after`
    it, and whether the text `ended` as a sentence."""

    before: str
    text: str
    after: str
    ended: bool


def render(
    parts: Sequence[Part],
    values: Mapping[str, str],
    *,
    single_line: bool = False,
    prose: Collection[str] = PROSE,
) -> Filled:
    """Returns the parts filled and tidied.

    `prose` names the placeholders whose values are prose at their end: only they end sentences, for tags such
    as `k-on!` may look so. `single_line` writes no line break.
    """
    filled = _without_empty(parts, values)
    text = before = after = ""
    ended = False
    for i, part in enumerate(filled):
        if part.slot:
            text += values[part.text]
            ended = part.text in prose and ends_sentence(values[part.text])
            continue
        literal = _tidy(part.text, text, ended)
        if not i:
            visible = literal.lstrip(_SEPARATION)
            before, literal = literal[: len(literal) - len(visible)], visible
        if i + 1 == len(filled):
            visible = literal.rstrip(" \t\r\n,")
            after, literal = literal[len(visible) :], visible
        elif i and not literal:
            literal = " " if ended else ", "
        literal = _on_one_line(literal, ended) if single_line else literal
        text += literal
        ended = _ends(literal, ended)
    return Filled(before, text, after, ended)


def _ends(literal: str, ended: bool) -> bool:
    """Whether a literal ends a sentence after what has `ended` one, or has not."""
    return ends_sentence("." * ended + literal)


def _without_empty(parts: Sequence[Part], values: Mapping[str, str]) -> list[Part]:
    """Placeholders that have values, neighbouring literals as one, and a literal between any two values."""
    filled = [Part("", slot=False)]
    eat = False
    for part in parts:
        if not part.slot:
            text = _EATEN.sub("", part.text, count=1) if eat else part.text
            filled[-1] = Part(filled[-1].text + text, slot=False)
            eat = False
        elif values.get(part.text):
            filled += [part, Part("", slot=False)]
            eat = False
        else:
            eat = True
    return filled


def _tidy(literal: str, before: str, ended: bool) -> str:
    literal = _EMPTY_BRACKETS.sub("", re.sub(r"[ \t]+", " ", literal))
    literal = re.sub(r",[\s,]*,", lambda match: "," + match.group().replace(",", ""), literal)
    literal = re.sub(r" ?\r?\n ?", "\n", literal)
    literal = re.sub(r"\n[.,]+(?=\n|\Z)", "\n", literal)
    if ended:
        literal = re.sub(r"\A[.,]", "", literal)
    elif before.endswith("."):
        literal = literal.removeprefix(".")
    return re.sub(r"  +", " ", re.sub(r"\n{3,}", "\n\n", literal))


def _on_one_line(literal: str, ended: bool) -> str:
    def blank(match: re.Match[str]) -> str:
        closed = "," in match.group() or "." in match.group() or _ends(literal[: match.start()], ended)
        return match.group().replace("\n", " ") if closed else ", "

    return re.sub(r"  +", " ", re.sub(r"[,. ]*\n[\n ]*", blank, literal))
