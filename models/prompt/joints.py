"""Where text can be added to a prompt so that every host reads it as plain text, and what to put between.

Text after an open bracket would share its weight, after an open brace, block comment or `<lora:` become part
of it, and after a `#` on the same line A1111 would drop it. Such text takes additions only before it. Blanks,
line breaks and comments at either end stay at that end.
"""

import re

from .sentences import ends_sentence
from .syntax import Kind, Span, leaves_network_open, lex
from .units import is_line_comment

_NEVER_CLOSED = re.compile(r"/\*|\{")
_LIKE_WEIGHT = re.compile(r":\s*[-+]?(?:\d+\.?|\d*\.\d+)\s*\Z")
_SKIPPED = (Kind.COMMENT, Kind.ESCAPE, Kind.EMBEDDING)


def split_ends(text: str, comments: str) -> tuple[str, str, str]:
    """Returns (lead, core, tail): the blanks, line breaks and whole comments before and after the core."""
    spans = lex(text, comments=comments)
    first, last = 0, len(spans)
    while first < last and (end := _passes(spans, first)):
        first = end
    while last > first and (_is_blank(spans[last - 1]) or spans[last - 1].kind is Kind.COMMENT):
        last -= 1
    lead = "".join(span.text for span in spans[:first])
    tail = "".join(span.text for span in spans[last:])
    core = text[len(lead) : len(text) - len(tail)]
    if not core:
        return lead, "", tail
    stripped = core.lstrip()
    lead += core[: len(core) - len(stripped)]
    core = stripped.rstrip()
    return lead, core, stripped[len(core) :] + tail


def _passes(spans: list[Span], i: int) -> int:
    """Index after span `i` where additions could begin, or 0: a line comment needs its line break."""
    if _is_blank(spans[i]) or (spans[i].kind is Kind.COMMENT and not is_line_comment(spans[i])):
        return i + 1 if any(not _is_blank(span) for span in spans[i + 1 :]) else 0
    return i + 2 if is_line_comment(spans[i]) and i + 1 < len(spans) else 0


def _is_blank(span: Span) -> bool:
    return span.kind is Kind.NEWLINE or (span.kind is Kind.TEXT and not span.text.strip())


def takes_more(text: str, comments: str) -> bool:
    """Returns whether an addition after `text` stays plain text in every host."""
    if leaves_network_open(text) or hides_line(text, comments):
        return False
    opened = {"(": 0, "[": 0}
    for span in lex(text, comments=comments):
        if span.kind is Kind.TEXT and _NEVER_CLOSED.search(span.text):
            return False
        if span.kind is Kind.AND:
            opened = {"(": 0, "[": 0}
        elif span.kind not in _SKIPPED and (span.kind is not Kind.NETWORK or comments in ("auto", "comfyui")):
            for character in re.findall(r"[()\[\]]", span.text):
                bracket = {")": "(", "]": "["}.get(character, character)
                change = 1 if bracket == character else -1
                opened[bracket] = max(0, opened[bracket] + change)
    return not any(opened.values())


def hides_line(text: str, comments: str) -> bool:
    """Returns whether some host could take what follows `text` on its last line for a comment."""
    line = text.rsplit("\n", 1)[-1]
    return comments != "none" and ("//" in line or ("#" in line and comments != "comfyui"))


def reads_as_weight(text: str) -> bool:
    """Returns whether A1111 would take the end of a prompt, such as `:3`, for the weight of the whole."""
    return _LIKE_WEIGHT.search(text) is not None


def joint(before: str, wanted: str, *, prose: bool, after_prose: bool, single_line: bool) -> str:
    """Returns what to put between `before` and an addition.

    `wanted` is what the template separates them by, `prose` says that the addition is a sentence and
    `after_prose` that `before` ends with one.
    """
    if not before or before[-1].isspace():
        return ""
    breaks = 0 if single_line else min(2, wanted.count("\n"))
    ended = ends_sentence(before)
    if prose and after_prose:
        return " " if ended else ". "
    if breaks:
        return "\n" * breaks
    if before[-1] in ",，、":
        return " "
    if after_prose and ended:
        return " " if single_line else "\n"
    if re.search(r"\b(?:AND|BREAK|ADDBASE|ADDCOMM|ADDCOL|ADDROW)\Z", before) or (prose and ended):
        return " "
    return ", "
