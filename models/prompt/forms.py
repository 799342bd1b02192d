"""Tags or prose: which pieces of a region are sentences and which are tags.

A piece is prose when it is no known tag and
- ends a sentence and has four words, or two that begin with a capital letter or like a sentence does
  (with `!` or `?` eight or three, since titles end so: `love live!`), or
- has more than five words and no name's qualifier in brackets at its end, or
- has three words and begins with `a` or `an`, or with `the` where a sentence begins (elsewhere it is
  usually a title, `the legend of zelda`), or
- is all that its region says and has four words, or two of which the first is an article.

A sentence that holds prose is prose to its full stop (`a cat, black and small, on a chair.`), unless what
follows the prose is plainly a list of tags; without a full stop, to a piece close by that begins with `and`,
`or`, `with`, ... ; and from its beginning where that is a word that begins sentences (`In the rain, a girl
stands.`) or a long piece right before the prose. A line break ends a sentence.
"""

import re
from collections.abc import Sequence

from .units import Known, Piece

_ARTICLES = frozenset({"a", "an"})
_OPENERS = frozenset(
    {
        *("in", "on", "at", "under", "over", "above", "below", "behind", "beside", "between", "near", "with"),
        *(
            "without",
            "while",
            "when",
            "where",
            "as",
            "after",
            "before",
            "during",
            "inside",
            "outside",
            "through",
        ),
        *("across", "around", "among", "beneath", "against", "from", "by", "to", "there", "this", "that"),
        *(
            "these",
            "those",
            "it",
            "she",
            "he",
            "they",
            "his",
            "her",
            "its",
            "their",
            "two",
            "three",
            "several",
        ),
        *("many", "some", "one"),
    }
)
_QUALIFIED = re.compile(r"\S \([^()]*\)\Z")
_FINAL = re.compile(r"(?:and|or|but|then|while|with)\b", re.IGNORECASE)


def prose_flags(pieces: Sequence[Piece], form: str, known: Known | None) -> list[bool]:
    """Returns for each piece whether it is prose; pieces that say nothing never are at the edge of prose."""
    if form == "tags":
        return [False] * len(pieces)
    flags = [bool(piece.phrase) for piece in pieces]
    if form == "prose":
        return _closed_on_lines(pieces, flags)
    lone = sum(flags) == 1
    flags = [_is_prose(pieces, i, known, lone) for i in range(len(pieces))]
    for first, last in _sentences(pieces):
        _spread(pieces, flags, first, last)
    return flags


def _closed_on_lines(pieces: Sequence[Piece], flags: list[bool]) -> list[bool]:
    """Flags also what lies between two flagged pieces of a line."""
    last: dict[int, int] = {}
    for i, piece in enumerate(pieces):
        if flags[i]:
            first = last.get(piece.line, i)
            flags[first:i] = [True] * (i - first)
            last[piece.line] = i
    return flags


def _is_prose(pieces: Sequence[Piece], i: int, known: Known | None, lone: bool) -> bool:
    piece, words = pieces[i], pieces[i].words
    count = len(words)
    if count < 2 and not re.search("[。！？]", piece.phrase):
        return False
    if known is not None and (known(piece.phrase) or known(piece.phrase.rstrip(".!?"))):
        return False
    if piece.ends:
        return _is_sentence(piece.phrase, words)
    first = words[0].lower()
    begins = i == 0 or pieces[i - 1].line != piece.line or pieces[i - 1].ends
    by_article = first in _ARTICLES or (first == "the" and begins)
    by_article = by_article and count >= (2 if lone else 3)
    by_length = count > 5 and not _QUALIFIED.search(piece.phrase)
    return by_length or by_article or (lone and count >= 4)


def _is_sentence(phrase: str, words: list[str]) -> bool:
    if re.search("[。！？]", phrase):
        return len(phrase) >= 6
    begins = words[0][:1].isupper() or words[0].lower() in _ARTICLES | _OPENERS | {"the"}
    exclaims = not phrase.rstrip("\"'”’»)]").endswith((".", "…"))
    if exclaims:
        return len(words) > 7 or (begins and len(words) >= 3)
    return len(words) >= 4 or (begins and len(words) >= 2)


def _sentences(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """Index ranges (first, last) of sentences: each on one line, with no sentence end but at its last."""
    found, first = [], 0
    for i, piece in enumerate(pieces):
        if i + 1 == len(pieces) or piece.ends or pieces[i + 1].line != piece.line:
            found.append((first, i))
            first = i + 1
    return found


def _spread(pieces: Sequence[Piece], flags: list[bool], first: int, last: int) -> None:
    """Makes a sentence that holds prose prose as far as it belongs together."""
    prose = [i for i in range(first, last + 1) if flags[i]]
    if not prose:
        return
    words = pieces[first].words
    opens = len(words) > 1 and words[0].lower() in _OPENERS | _ARTICLES | {"the"}
    if opens or (len(words) >= 4 and prose[0] == first + 1):
        prose.insert(0, first)
    rest = range(prose[-1] + 1, last + 1)
    finals = [i for i in rest if _FINAL.match(pieces[i].phrase)]
    if pieces[last].ends and not _is_list_of_tags([pieces[i] for i in rest if pieces[i].phrase]):
        prose.append(last)
    elif finals and finals[-1] - prose[-1] <= 4:
        prose.append(finals[-1])
    for i in range(prose[0], prose[-1] + 1):
        flags[i] = True


def _is_list_of_tags(rest: Sequence[Piece]) -> bool:
    if len(rest) < 3 or any(_FINAL.match(piece.phrase) for piece in rest):
        return False
    return sum(len(piece.words) for piece in rest) < 2.5 * len(rest)
