"""Sentences of English prose, as captions and prompts write it: `split_sentences`.

A sentence ends at `.`, `!`, `?`, `…` or their full-width forms, with the closing quotes and brackets after
it, and at a blank line. It does not end in decimals (3.5), initials (J. R. Tolkien), dotted words (U.S.,
p.m.) and common abbreviations (Mr., St., vs.), after a list number (`1. A cat`), nor after `!`, `?` or an
ellipsis when the next word is in lower case (`love live! school`, `well... maybe`). A full stop ends a
sentence even before a lower-case word, since prompts are often written without capitals.
"""

import itertools
import re

_STOP = re.compile(r"[.!?…]+[\"'”’»)\]]*|[。！？]+[」』”’）]*")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n\s*")
_LINE_START = re.compile(r"(?:\A|\n)[ \t]*\Z")
_FIRST_WORD = re.compile(r"\s*[\"'“‘(\[]*([^\s.,;:!?]*)")
_LAST_WORD = re.compile(r"[^\s(\[\"“‘]*\Z")

_TITLES = frozenset(
    {
        *(
            "mr",
            "mrs",
            "ms",
            "mx",
            "dr",
            "prof",
            "st",
            "sr",
            "lt",
            "col",
            "gen",
            "sgt",
            "capt",
            "cpt",
            "cmdr",
        ),
        *(
            "rev",
            "hon",
            "gov",
            "pres",
            "fr",
            "messrs",
            "mt",
            "ft",
            "vs",
            "cf",
            "approx",
            "ca",
            "eg",
            "ie",
            "al",
        ),
        *("feat", "vol", "fig", "pp", "dept", "est", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep"),
        *("sept", "oct", "nov", "dec"),
    }
)
"""Followed by a name or a number, so a full stop after them never ends a sentence."""

_NUMBERED = frozenset({"no", "nos", "p", "art", "sec", "ch", "op", "ver"})
"""Abbreviations only before a number: `No. 5`, but `She said no. He left.`"""

_MAY_END = frozenset({"etc", "jr", "inc", "ltd", "co", "corp", "bros", "a.m", "p.m"})
"""Abbreviations that can be the last word: the sentence ends when the next word can begin one."""

_STARTERS = frozenset(
    {
        *(
            "a",
            "an",
            "the",
            "it",
            "its",
            "this",
            "that",
            "these",
            "those",
            "there",
            "here",
            "he",
            "she",
            "they",
        ),
        *(
            "his",
            "her",
            "their",
            "we",
            "you",
            "i",
            "in",
            "on",
            "at",
            "under",
            "over",
            "behind",
            "beside",
            "near",
        ),
        *(
            "with",
            "while",
            "when",
            "as",
            "after",
            "before",
            "then",
            "next",
            "finally",
            "now",
            "but",
            "and",
            "so",
        ),
        *("both", "each", "two", "three", "some", "many", "all", "another", "one"),
    }
)


def split_sentences(text: str) -> list[str]:
    """Returns the sentences of a text, none empty, without the blanks around them and in their order."""
    cuts = [0, *boundaries(text), len(text)]
    pieces = (text[start:end].strip() for start, end in itertools.pairwise(cuts))
    return [piece for piece in pieces if piece]


def boundaries(text: str) -> list[int]:
    """Returns the offsets at which a sentence has ended and another follows, ascending; time is linear."""
    ends = {
        match.start() for match in _BLANK_LINE.finditer(text) if match.start() and match.end() < len(text)
    }
    start = 0
    for match in _STOP.finditer(text):
        if _ends_sentence(text, start, match):
            start = match.end()
            ends.add(start)
    last = len(text.rstrip())
    return sorted(end for end in ends if end < last)


def ends_sentence(text: str) -> bool:
    """Returns whether a text ends like a sentence: `.`, `!`, `?`, `…`, with closing quotes or brackets."""
    return _STOP.fullmatch(text, _tail(text)) is not None


def _tail(text: str) -> int:
    end = len(text)
    while end and text[end - 1] in "\"'”’»)]」』）":
        end -= 1
    while end and text[end - 1] in ".!?…。！？":
        end -= 1
    return end


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    mark, end = match.group(), match.end()
    if mark[0] in "。！？":
        return True
    if end < len(text) and not text[end].isspace():
        return False
    following = _next_word(text, end)
    if mark.rstrip("\"'”’»)]") != ".":
        return not following[:1].islower() or (mark in ("!", "?") and following in _STARTERS)
    if mark != "." and following[:1].islower():
        return False
    return not _is_abbreviation(text, start, match.start(), following)


def _next_word(text: str, end: int) -> str:
    match = _FIRST_WORD.match(text, end, end + 80)
    return match.group(1) if match else ""


def _is_abbreviation(text: str, start: int, dot: int, following: str) -> bool:
    """Whether the full stop at `dot` belongs to the word before it, in a sentence that began at `start`."""
    word = _LAST_WORD.search(text, max(start, dot - 40), dot).group()
    bare = word.lower().strip(".'")
    can_begin = following[:1].isupper() and following.lower() in _STARTERS
    if bare in _TITLES:
        return bool(following)
    if bare in _NUMBERED:
        return following[:1].isdigit()
    if len(word) == 1 and word.isalpha():
        return bare != "i" and following.lower() not in _STARTERS
    if bare in _MAY_END or re.fullmatch(r"(?:\w\.)+\w", word):
        return not can_begin
    number = dot - len(word)
    return word.isdigit() and bool(_LINE_START.search(text[max(start, number - 40) : number]))
