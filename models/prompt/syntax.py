"""Lexer for prompts as A1111, Forge and ComfyUI read them: every character lands in exactly one span.

`"".join(span.text for span in lex(p)) == p` for every string; lexing never raises and takes linear time.

Where the hosts' own parsers decide something, they are followed (A1111 1.10 `modules/prompt_parser.py`,
`extra_networks.py`, `processing_scripts/comments.py`; ComfyUI `comfy/sd1_clip.py` and the front end's
`formatUtil.ts`; dynamicprompts' `parser/parse.py`):

- comments go first, then `{...}`, `__x__` and `<...>`; their inside is never looked at;
- `AND` splits at any bracket depth, so brackets do not match across it. The number after the last colon
  before it (`a :0.7 AND b :0.5`) is the part's weight and belongs to the AND span, also at the very end;
- round and square brackets nest independently; a bracket that nothing closes is still OPEN, a closing
  bracket that nothing opened is TEXT, and so are emoticons such as `:(`;
- `[a:b:0.5]` and `[a:0.5]` are EDIT, `[a|b]` is ALTERNATE, any other `[a]` is a weight.

`#` and `//` are where hosts disagree: A1111 and Forge drop everything from any `#` to the end of the line,
ComfyUI's front end from any `//`. `comments` names the host ("webui", "comfyui"); "auto" takes `#` as a
comment only at the start of a line or standing free (`a # b`) and `//` unless a colon precedes it, so that
`https://` and `#1` stay text. `/* */` is a comment everywhere; "none" is for WebUIs that are to have none.
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, field


class Kind(enum.Enum):
    """What a span of a prompt is."""

    TEXT = "text"
    COMMA = "comma"
    NEWLINE = "newline"
    OPEN = "open"
    CLOSE = "close"
    WEIGHT = "weight"
    ESCAPE = "escape"
    NETWORK = "network"
    EMBEDDING = "embedding"
    BREAK = "break"
    AND = "and"
    EDIT = "edit"
    ALTERNATE = "alternate"
    WILDCARD = "wildcard"
    VARIANT = "variant"
    COMMENT = "comment"
    PROTECTED = "protected"


OPAQUE = frozenset(
    {
        Kind.NETWORK,
        Kind.EMBEDDING,
        Kind.BREAK,
        Kind.AND,
        Kind.EDIT,
        Kind.ALTERNATE,
        Kind.WILDCARD,
        Kind.VARIANT,
        Kind.COMMENT,
        Kind.PROTECTED,
    }
)
"""Spans that no language model is ever shown."""

COMMENT_STYLES = ("auto", "webui", "comfyui", "none")
"""How comments are recognised; see the module's docstring."""

ESCAPABLE = "()[]{}|\\:"
"""Characters that a backslash makes literal. (A1111 drops every lone backslash, ComfyUI those before `()`,
its front end those before `{}|`.)"""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a prompt: `text` as written, beginning at the offset `start`."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(slots=True)
class _Atom:
    """A span in the making; `mark` is the character of a bracket, brace, colon or pipe, else empty."""

    kind: Kind
    start: int
    end: int
    mark: str = ""


_DECIMAL = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"  # \d+\.?\d* would try every way to part the digits
_NUMBER = rf"{_DECIMAL}(?:[eE][-+]?\d+)?"
_NUMBERS = re.compile(rf"\s*{_NUMBER}(?:\s*,\s*{_NUMBER})*\s*\Z")
_AND_WEIGHT = re.compile(r"\s*[-+]?(?:\d+\.?|\d*\.\d+)(\s*)\Z")
_NAMED_NETWORK = re.compile(r"<\w+:(?=[^>])")
_OTHER_NETWORK = re.compile(r"<[A-Za-z/!|$%][^<>,\r\n]*>")
_NETWORK_START = re.compile(r"<(?:\w+:|[A-Za-z/!|$%])")
_EMBEDDING = re.compile(
    r"embedding:(?:\\.|(?!/[/*])[^\s,，、()\[\]{}<>|:\\])+"
    rf"(?::{_DECIMAL}(?![\w.]|\s*[)\]:]))?"
)
_WILDCARD = re.compile(
    r'__(?:[^\W_]|[*?./~@!-])(?:(?!__)[^\r\n,<>{}|()\[\]:#$"])*(?<!\s)(?:\([^()\r\n]*\))?__'
)
_EYES = re.compile(r"(?:^|[^\w:])>?[:;=]['^-]?\Z")
_MARKS = r"""
 | (?P<word> \b (?: AND | BREAK | ADDBASE | ADDCOMM | ADDCOL | ADDROW ) \b )
 | (?P<embedding> (?<!\w) embedding: (?=[^\s,，、()\[\]{}<>|:]) )
 | (?P<emoticon> \\\|\|/ )
 | (?P<escape> \\ [()\[\]{}|\\:] )
 | (?P<newline> \r?\n )
 | (?P<comment> \# | // | /\* )
 | (?P<mark> < | __ | \$?\{ | [}()\[\],，、:|] )
"""


def lex(prompt: str, *, protect: Sequence[str] = (), comments: str = "auto") -> list[Span]:
    """Returns the spans of a prompt in order; their texts joined are the prompt.

    Every occurrence of a word or phrase in `protect` as a whole word, in any case, with blanks and
    underscores alike, becomes PROTECTED. Regional Prompter's ADDCOL, ADDROW, ADDCOMM and ADDBASE count as
    BREAK. Raises ValueError when `comments` is not one of COMMENT_STYLES.
    """
    if comments not in COMMENT_STYLES:
        raise ValueError(f"comments must be one of {', '.join(COMMENT_STYLES)}; got {comments!r}")
    atoms = _fold_variants(_Scanner(prompt, _pattern(protect), comments).atoms())
    return _spans(prompt, _fold_brackets(prompt, _fold_and_weights(prompt, atoms)))


def depths(spans: Sequence[Span]) -> list[int]:
    """Returns, for each span, in how many brackets it lies that are closed again; a bracket counts inside."""
    opened: dict[str, list[int]] = {"(": [], "[": []}
    steps = [0] * (len(spans) + 1)
    for i, span in enumerate(spans):
        if span.kind is Kind.AND:
            opened = {"(": [], "[": []}
        elif span.kind is Kind.OPEN:
            opened[span.text].append(i)
        elif span.kind is Kind.CLOSE:
            steps[opened["(" if span.text == ")" else "["].pop()] += 1
            steps[i + 1] -= 1
    depth, result = 0, []
    for step in steps[:-1]:
        depth += step
        result.append(depth)
    return result


def leaves_network_open(text: str) -> bool:
    """Returns whether a `>` somewhere after `text` would make a network of its end."""
    return _NETWORK_START.search(text, text.rfind(">") + 1) is not None


def _pattern(protect: Sequence[str]) -> re.Pattern[str]:
    words = sorted({" ".join(word.split()) for word in protect} - {""}, key=lambda w: (-len(w), w))
    return re.compile(f"(?P<protected>{'|'.join(map(_whole, words)) or '(?!)'}){_MARKS}", re.VERBOSE)


def _whole(word: str) -> str:
    body = "[ _]+".join(re.escape(part) for part in re.split("[ _]+", word) if part)
    before = r"(?<!\w)" if re.match(r"\w", word) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", word) else ""
    return f"{before}(?i:{body or re.escape(word)}){after}"


class _Scanner:
    """Cuts a prompt into atoms from left to right; whatever has no closing partner stays a mark or text."""

    def __init__(self, prompt: str, pattern: re.Pattern[str], comments: str):
        self.prompt, self.pattern, self.comments = prompt, pattern, comments
        self.next_found: dict[str, int] = {}
        self.line_is_blank = True

    def atoms(self) -> list[_Atom]:
        atoms: list[_Atom] = []
        position = done = 0
        while match := self.pattern.search(self.prompt, position):
            if self.prompt[done : match.start()].strip():
                self.line_is_blank = False
            atom = self._atom(match)
            if atom is None:
                position = match.end()
                continue
            if done < atom.start:
                atoms.append(_Atom(Kind.TEXT, done, atom.start))
            atoms.append(atom)
            self.line_is_blank = atom.kind is Kind.NEWLINE
            position = done = atom.end
        if done < len(self.prompt):
            atoms.append(_Atom(Kind.TEXT, done, len(self.prompt)))
        return atoms

    def _atom(self, match: re.Match[str]) -> _Atom | None:
        start, text = match.start(), match.group()
        kind, end = Kind.TEXT, match.end()
        if match.lastgroup == "word":
            kind = Kind.AND if text == "AND" else Kind.BREAK
        elif match.lastgroup == "embedding":
            found = _EMBEDDING.match(self.prompt, start)
            kind, end = Kind.EMBEDDING, found.end() if found else None
        elif match.lastgroup == "comment":
            kind, end = Kind.COMMENT, self._comment_end(start, text)
        elif match.lastgroup == "mark":
            return self._mark(start, text)
        elif match.lastgroup != "emoticon":
            kind = Kind[match.lastgroup.upper()]
        return None if end is None else _Atom(kind, start, end)

    def _mark(self, start: int, text: str) -> _Atom | None:
        end = start + len(text)
        if text == "<":
            kind, end = Kind.NETWORK, self._network_end(start)
        elif text == "__":
            found = _WILDCARD.match(self.prompt, start)
            kind, end = Kind.WILDCARD, found.end() if found else None
        elif text in ",，、":
            kind = Kind.COMMA
        elif text in "([" and self._is_mouth(start):
            kind = Kind.TEXT
        else:
            return _Atom(Kind.TEXT, start, end, mark=text[-1])
        return None if end is None else _Atom(kind, start, end)

    def _is_mouth(self, start: int) -> bool:
        after = self.prompt[start + 1 : start + 2]
        eyes = _EYES.search(self.prompt[max(0, start - 4) : start])
        return eyes is not None and (not after or after.isspace() or after in ",，、")

    def _network_end(self, start: int) -> int | None:
        named = _NAMED_NETWORK.match(self.prompt, start)
        if named:
            close = self._find(">", named.end())
            return None if close < 0 else close + 1
        other = _OTHER_NETWORK.match(self.prompt, start)
        return other.end() if other else None

    def _comment_end(self, start: int, mark: str) -> int | None:
        if self.comments == "none":
            return None
        if mark == "/*":
            close = self._find("*/", start + 2)
            return None if close < 0 else close + 2
        if not self._starts_comment(start, mark):
            return None
        end = self._find("\n", start)
        end = len(self.prompt) if end < 0 else end
        return end - 1 if self.prompt[end - 1] == "\r" and end < len(self.prompt) else end

    def _starts_comment(self, start: int, mark: str) -> bool:
        before, after = self.prompt[start - 1 : start], self.prompt[start + 1 : start + 2]
        if mark == "//":
            return self.comments == "comfyui" or before != ":"
        if self.comments != "auto":
            return self.comments == "webui"
        free = (before.isspace() or before in ",，、") and (not after or after.isspace() or after == "#")
        return self.line_is_blank or free

    def _find(self, text: str, start: int) -> int:
        """`str.find` that searches no stretch twice, however many openers wait for the same closer."""
        known = self.next_found.get(text, start - 1)
        if 0 <= known < start:
            known = self.prompt.find(text, start)
            self.next_found[text] = known
        elif text not in self.next_found:
            known = self.next_found[text] = self.prompt.find(text, start)
        return known


def _fold_variants(atoms: list[_Atom]) -> list[_Atom]:
    """Every outermost `{...}` becomes one atom."""
    opened, closed_by = [], {}
    for i, atom in enumerate(atoms):
        if atom.mark == "{":
            opened.append(i)
        elif atom.mark == "}" and opened:
            closed_by[opened.pop()] = i
    folded, i = [], 0
    while i < len(atoms):
        close = closed_by.get(i, i)
        folded.append(_Atom(Kind.VARIANT, atoms[i].start, atoms[close].end) if close != i else atoms[i])
        i = close + 1
    return folded


def _fold_and_weights(prompt: str, atoms: list[_Atom]) -> list[_Atom]:
    """The `:0.7` that ends a part before AND, or ends a prompt that has an AND, becomes an AND atom."""
    if all(atom.kind is not Kind.AND for atom in atoms):
        return atoms
    folded: list[_Atom] = []
    ending, i = True, len(atoms)
    while i:
        i -= 1
        atom = atoms[i]
        weight = None
        if atom.kind is Kind.AND:
            ending = True
        elif ending and not _passes_weight(prompt, atom):
            ending = False
            weight = _weight_before(prompt, atoms, i)
        if weight is None:
            folded.append(atom)
        elif folded and folded[-1].kind is Kind.AND and not prompt[weight[1] : folded[-1].start].strip(" \t"):
            folded[-1].start = weight[0]
        else:
            folded += [_Atom(Kind.TEXT, weight[1], atom.end)] if weight[1] < atom.end else []
            folded.append(_Atom(Kind.AND, *weight))
        if weight and atom.kind is Kind.EMBEDDING:
            folded.append(_Atom(Kind.EMBEDDING, atom.start, weight[0]))
        elif weight:
            i -= 1
    return folded[::-1]


def _weight_before(prompt: str, atoms: list[_Atom], i: int) -> tuple[int, int] | None:
    """Where the weight stands with which atom `i` ends, from its colon to the end of its number."""
    text = prompt[atoms[i].start : atoms[i].end]
    if atoms[i].kind is Kind.EMBEDDING:
        found = _AND_WEIGHT.match(text.rpartition(":")[2])
        start = atoms[i].start + text.rindex(":")
        return (start, atoms[i].end) if found and start > atoms[i].start + len("embedding") else None
    found = _AND_WEIGHT.match(text)
    if not found or not i or atoms[i - 1].mark != ":" or atoms[i].kind is not Kind.TEXT:
        return None
    return atoms[i - 1].start, atoms[i].end - len(found.group(1))


def _passes_weight(prompt: str, atom: _Atom) -> bool:
    """What the host has removed, or skips, before it looks for the weight at the end of a part."""
    blank = atom.kind is Kind.TEXT and not atom.mark and not prompt[atom.start : atom.end].strip()
    return blank or atom.kind in (Kind.NEWLINE, Kind.COMMENT, Kind.NETWORK)


@dataclass(slots=True)
class _Bracket:
    index: int
    colon: int = -1
    pipe: bool = False
    crossed_by: int = field(default=1 << 60)


def _fold_brackets(prompt: str, atoms: list[_Atom]) -> list[_Atom]:
    """Brackets become OPEN, CLOSE and WEIGHT; prompt editing and alternation become one atom each."""
    rounds: list[_Bracket] = []
    squares: list[_Bracket] = []
    edits: dict[int, tuple[int, Kind]] = {}
    for i, atom in enumerate(atoms):
        if atom.kind is Kind.AND:
            rounds, squares = [], []
        elif atom.mark in ("(", "["):
            (rounds if atom.mark == "(" else squares).append(_Bracket(i))
            atom.kind = Kind.OPEN
        elif atom.mark in (":", "|") and (rounds or squares):
            inner = max((rounds[-1:] + squares[-1:]), key=lambda bracket: bracket.index)
            inner.colon = i if atom.mark == ":" else inner.colon
            inner.pipe = inner.pipe or atom.mark == "|"
        elif atom.mark == ")" and rounds:
            _close_round(prompt, atoms, rounds.pop(), i, squares)
        elif atom.mark == "]" and squares:
            bracket = squares.pop()
            kind = _square_kind(prompt, atoms, bracket, i, rounds)
            if squares:
                squares[-1].crossed_by = min(squares[-1].crossed_by, bracket.crossed_by)
            if kind is not None:
                edits[bracket.index] = (i, kind)
            atom.kind = Kind.CLOSE
    folded, i = [], 0
    while i < len(atoms):
        close, kind = edits.get(i, (i, atoms[i].kind))
        folded.append(_Atom(kind, atoms[i].start, atoms[close].end))
        i = close + 1
    return folded


def _close_round(prompt: str, atoms: list[_Atom], bracket: _Bracket, i: int, squares: list[_Bracket]) -> None:
    atoms[i].kind = Kind.CLOSE
    if squares and squares[-1].index > bracket.index:
        squares[-1].crossed_by = min(squares[-1].crossed_by, bracket.index)
    number = prompt[atoms[bracket.colon].end : atoms[i].start] if bracket.colon >= 0 else ""
    if bracket.colon == i - 2 and re.fullmatch(rf"\s*{_NUMBER}\s*", number):
        atoms[i - 2].kind = atoms[i - 1].kind = Kind.WEIGHT


def _square_kind(
    prompt: str, atoms: list[_Atom], bracket: _Bracket, i: int, rounds: list[_Bracket]
) -> Kind | None:
    crossed = bracket.crossed_by < bracket.index or (rounds and rounds[-1].index > bracket.index)
    if crossed:
        return None
    if bracket.pipe:
        return Kind.ALTERNATE
    when = prompt[atoms[bracket.colon].end : atoms[i].start] if bracket.colon >= 0 else ""
    return Kind.EDIT if _NUMBERS.match(when) else None


def _spans(prompt: str, atoms: list[_Atom]) -> list[Span]:
    """Atoms to spans; neighbouring text, and a weight's colon and number, become one."""
    merged: list[_Atom] = []
    for atom in atoms:
        if merged and merged[-1].kind is atom.kind and atom.kind in (Kind.TEXT, Kind.WEIGHT):
            merged[-1].end = atom.end
        else:
            merged.append(atom)
    return [Span(atom.kind, prompt[atom.start : atom.end], atom.start) for atom in merged]
