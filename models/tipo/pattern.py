r"""A small regular-expression matcher whose time is proportional to the text, for patterns from strangers.

Convention: `fullmatch` must use up the whole text, and every construct means what it means in Python's `re`.
Understood are: literal characters; a backslash before a character that is no letter or digit; `.`; `[abc]`,
`[a-z]`, `[^a]`; `\d \D \w \W \s \S \n \t`; `( )`, `(?: )`, `|`; `* + ? {m} {m,} {m,n}`, also lazy;
`^ $ \A \Z \b \B`. There is no backreference and no lookaround, so nothing can backtrack.
Source: K. Thompson, "Regular Expression Search Algorithm", CACM 11(6), 1968: a set of states, not a stack.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_LENGTH = 200  # characters of a pattern
MAX_STATES = 1_000  # states of the machine, after {m,n} is written out
MAX_DEPTH = 20  # groups inside groups
MEMO = 2_000  # remembered steps; forgotten together when full

ALLOWED = r"allowed are literal text, . [a-z] [^a] \d \w \s \b ( ) | * + ? {m,n} ^ $"

KINDS: dict[str, Callable[[str], bool]] = {
    "d": str.isdecimal,
    "D": lambda c: not c.isdecimal(),
    "w": lambda c: c.isalnum() or c == "_",
    "W": lambda c: not (c.isalnum() or c == "_"),
    "s": str.isspace,
    "S": lambda c: not c.isspace(),
}
EDGES = "^$AZbB"
BLANKS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


class PatternError(ValueError):
    """A pattern that cannot be used: `position` is the character, `reason` what must hold there."""

    def __init__(self, reason: str, position: int):
        super().__init__(f"{reason} (character {position + 1}); {ALLOWED}")
        self.reason = reason
        self.position = position


@dataclass(frozen=True)
class Chars:
    """A set of characters: ranges (both ends included) and letters of `KINDS`; or all but those."""

    ranges: tuple[tuple[str, str], ...]
    kinds: str = ""
    negated: bool = False

    def has(self, spellings: tuple[str, ...]) -> bool:
        found = any(low <= c <= high for c in spellings for low, high in self.ranges)
        return (found or any(KINDS[kind](spellings[0]) for kind in self.kinds)) != self.negated


@dataclass(frozen=True)
class Edge:
    """A place between characters: one letter of `EDGES`, or `|` for anywhere but inside a word."""

    kind: str


@dataclass(frozen=True)
class Sequence:
    parts: tuple


@dataclass(frozen=True)
class Choice:
    parts: tuple


@dataclass(frozen=True)
class Repeat:
    """`part` from `low` to `high` times; no upper bound when `high` is None."""

    part: object
    low: int
    high: int | None


ANY = Chars((("\n", "\n"),), negated=True)


class Parser:
    """Reads one pattern from left to right."""

    def __init__(self, source: str):
        self.source = source
        self.at = 0
        self.depth = 0

    def peek(self) -> str:
        return self.source[self.at : self.at + 1]

    def take(self, text: str) -> bool:
        found = self.source.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def parse(self) -> object:
        node = self.choice()
        if self.at < len(self.source):
            raise PatternError("')' has no '(' before it", self.at)
        return node

    def choice(self) -> object:
        parts = [self.sequence()]
        while self.take("|"):
            parts.append(self.sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def sequence(self) -> object:
        parts = []
        while self.peek() and self.peek() not in "|)":
            parts.append(self.repeated(self.item()))
        return Sequence(tuple(parts))

    def repeated(self, item: object) -> object:
        start = self.at
        bounds = self.bounds()
        if bounds is None:
            return item
        if isinstance(item, Edge):
            raise PatternError("a place such as ^ or \\b cannot be repeated", start)
        self.take("?")  # lazy or not, the same texts match
        start = self.at
        if self.peek() == "+" or self.bounds() is not None:
            raise PatternError("a repeat cannot be repeated, put it in ( ) first", start)
        return Repeat(item, *bounds)

    def bounds(self) -> tuple[int, int | None] | None:
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(self.peek())
        if simple:
            self.at += 1
            return simple
        return self.braces()

    def braces(self) -> tuple[int, int | None] | None:
        """Returns the bounds of `{m}`, `{m,}`, `{,n}`, `{m,n}`; reads nothing and returns None otherwise."""
        close = self.source.find("}", self.at)
        inside = self.source[self.at + 1 : close] if self.peek() == "{" and close > 0 else ""
        low, comma, high = inside.partition(",")
        if not inside or not all(c in "0123456789" for c in low + high):
            return None
        least = int(low or 0)
        most = int(high) if high else None if comma else least
        if most is not None and most < least:
            raise PatternError(f"{{m,n}} needs m <= n, got {{{inside}}}", self.at)
        if max(least, most or 0) > MAX_STATES:
            raise PatternError(f"a repeat may count to {MAX_STATES}, got {{{inside}}}", self.at)
        self.at = close + 1
        return least, most

    def item(self) -> object:
        start, c = self.at, self.peek()
        if c in "*+?" or (c == "{" and self.braces() is not None):
            raise PatternError(f"{c!r} has nothing before it to repeat", start)
        self.at += 1
        if c == "(":
            return self.group(start)
        if c == "[":
            return self.characters(start)
        if c == "\\":
            return self.escape(start, EDGES[2:])
        if c in "^$":
            return Edge(c)
        return ANY if c == "." else Chars(((c, c),))

    def group(self, start: int) -> object:
        if not self.take("?:") and self.peek() == "?":
            raise PatternError("(? must be (?: , lookaround, names and flags are not understood", start)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise PatternError(f"groups may be nested {MAX_DEPTH} deep", start)
        node = self.choice()
        if not self.take(")"):
            raise PatternError("'(' is never closed", start)
        self.depth -= 1
        return node

    def escape(self, start: int, edges: str = "") -> Chars | Edge:
        c = self.peek()
        self.at += 1
        if not c:
            raise PatternError("a character must follow the last \\", start)
        if c in KINDS:
            return Chars((), kinds=c)
        if c in edges:
            return Edge(c)
        c = BLANKS.get(c, c)
        if c.isascii() and c.isalnum():
            kind = "a backreference" if c.isdigit() else "an escape"
            raise PatternError(f"\\{c} is {kind} that is not understood", start)
        return Chars(((c, c),))

    def characters(self, start: int) -> Chars:
        """Reads a class after its `[`; `]` first in it, and `-` first or last, stand for themselves."""
        negated = self.take("^")
        ranges, kinds, first = [], "", True
        while first or self.peek() != "]":
            first = False
            low_at, low = self.at, self.member(start)
            if low.kinds or self.peek() != "-" or self.source[self.at + 1 : self.at + 2] in ("]", ""):
                ranges += low.ranges
                kinds += low.kinds
                continue
            self.at += 1
            high = self.member(start)
            if high.kinds or high.ranges[0] < low.ranges[0]:
                raise PatternError("a range such as a-z must go up from a character to another", low_at)
            ranges.append((low.ranges[0][0], high.ranges[0][1]))
        self.at += 1
        return Chars(tuple(ranges), kinds, negated)

    def member(self, start: int) -> Chars:
        c, at = self.peek(), self.at
        if not c:
            raise PatternError("'[' is never closed", start)
        self.at += 1
        return self.escape(at) if c == "\\" else Chars(((c, c),))


def states_of(node: object) -> int:
    """Returns how many states `node` needs, at most, without making one."""
    if isinstance(node, Sequence | Choice):
        return isinstance(node, Choice) + sum(states_of(part) for part in node.parts)
    if isinstance(node, Repeat):
        once = max(states_of(node.part), 1)
        return node.low * once + (1 if node.high is None else node.high - node.low) * (once + 1)
    return 1


class Pattern:
    """A compiled pattern: state i reads a character, or goes on at once where the edge `edges[i]` lies.

    Sets of states are the bits of an int; state 0 is the end.
    """

    def __init__(self, source: str, node: object, *, ignore_case: bool):
        self.source = source
        self.ignore_case = ignore_case
        self.edges: list[str] = [""]
        self.targets: list[tuple[int, ...]] = [()]
        self.readers: dict[Chars, int] = {}  # the states that read one of these characters
        self.start = self._build(node, 0)
        self.reading = 0
        for states in self.readers.values():
            self.reading |= states
        self.placed = any(self.edges)
        self._reads: dict[str, int] = {}
        self._steps: dict[tuple[int, str, bool], int] = {}

    def fullmatch(self, text: str) -> bool:
        """True when the pattern matches all of `text`."""
        return self._run(text, fresh=False, whole=True)

    def search(self, text: str) -> bool:
        """True when the pattern matches somewhere in `text`."""
        return self._run(text, fresh=True, whole=False)

    def prefix(self, text: str) -> bool:
        """True when the pattern matches `text` from its first character on, perhaps not to its end."""
        return self._run(text, fresh=False, whole=False)

    def _run(self, text: str, *, fresh: bool, whole: bool) -> bool:
        """Time O(states x characters). `fresh`: may start anywhere; `whole`: must end at the end."""
        active = self._step(0, self._places(text, 0), True)
        for at, c in enumerate(text):
            if not whole and active & 1:
                return True
            if not (active or fresh):
                return False
            active = self._step(active & self._reading(c), self._places(text, at + 1), fresh)
        return bool(active & 1)

    def _add(self, targets: tuple[int, ...], edge: str = "") -> int:
        self.targets.append(targets)
        self.edges.append(edge)
        return len(self.targets) - 1

    def _build(self, node: object, then: int) -> int:
        """Returns the state that matches `node` and goes on at `then`."""
        if isinstance(node, Chars):
            state = self._add((then,))
            self.readers[node] = self.readers.get(node, 0) | 1 << state
            return state
        if isinstance(node, Edge):
            return self._add((then,), node.kind)
        if isinstance(node, Choice):
            return self._add(tuple(self._build(part, then) for part in node.parts))
        if isinstance(node, Repeat):
            return self._repeat(node, then)
        for part in reversed(node.parts):
            then = self._build(part, then)
        return then

    def _repeat(self, node: Repeat, then: int) -> int:
        entry = then
        if node.high is None:
            entry = self._add(())
            self.targets[entry] = (self._build(node.part, entry), then)
        for _ in range((node.high or node.low) - node.low):
            entry = self._add((self._build(node.part, entry), then))
        for _ in range(node.low):
            entry = self._build(node.part, entry)
        return entry

    def _places(self, text: str, at: int) -> str:
        """Returns the kinds of edge that lie before character `at`."""
        if not self.placed:
            return ""
        before = at > 0 and KINDS["w"](text[at - 1])
        after = at < len(text) and KINDS["w"](text[at])
        found = "b" if before != after else "B"
        found += "" if before and after else "|"
        found += "^A" if at == 0 else ""
        found += "Z" if at == len(text) else ""
        last = at == len(text) or (at == len(text) - 1 and text[at] == "\n")
        return found + "$" if last else found

    def _reading(self, c: str) -> int:
        """Returns the states that read the character `c`."""
        found = self._reads.get(c)
        if found is None:
            spellings = (c, c.lower(), c.upper(), c.upper().lower()) if self.ignore_case else (c,)
            found = 0
            for chars, states in self.readers.items():
                found |= states if chars.has(spellings) else 0
            _remember(self._reads, c, found)
        return found

    def _step(self, reading: int, places: str, fresh: bool) -> int:
        """Returns the states that read or match after those of `reading` have read, or also at the start."""
        found = self._steps.get((reading, places, fresh))
        if found is None:
            found, seen, waiting = 0, 0, [self.start] if fresh else []
            waiting += [self.targets[state][0] for state in _states(reading)]
            while waiting:
                state = waiting.pop()
                bit = 1 << state
                if seen & bit:
                    continue
                seen |= bit
                if state == 0 or self.reading & bit:
                    found |= bit
                elif not self.edges[state] or self.edges[state] in places:
                    waiting += self.targets[state]
            _remember(self._steps, (reading, places, fresh), found)
        return found


def _states(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _remember(memo: dict, key: object, value: int) -> None:
    if len(memo) >= MEMO:
        memo.clear()
    memo[key] = value


def compile_pattern(source: str, *, ignore_case: bool = False, words: bool = False) -> Pattern:
    """Returns the compiled `source`; with `words` a match begins and ends at edges of words, and so do `^ $`.

    Raises PatternError for what the module does not list and for what is larger than the limits above.
    """
    _check_length(source)
    return _compiled(source, Parser(source).parse(), ignore_case=ignore_case, words=words)


def compile_wildcard(text: str, *, words: bool = False) -> Pattern:
    """Returns the pattern in which `*` stands for any characters, with `words` for any that are not blank."""
    _check_length(text)
    many = Repeat(Chars((), kinds="S") if words else ANY, 0, None)
    node = Sequence(tuple(many if c == "*" else Chars(((c, c),)) for c in text))
    return _compiled(text, node, ignore_case=False, words=words)


def _check_length(source: str) -> None:
    if len(source) > MAX_LENGTH:
        raise PatternError(f"a pattern may have {MAX_LENGTH} characters, got {len(source)}", MAX_LENGTH)


def _compiled(source: str, node: object, *, ignore_case: bool, words: bool) -> Pattern:
    states = states_of(node)
    if states > MAX_STATES:
        raise PatternError(f"written out, a pattern may have {MAX_STATES} parts, got {states}", 0)
    if words:
        node = Sequence((Edge("|"), _unanchored(node), Edge("|")))
    return Pattern(source, node, ignore_case=ignore_case)


def _unanchored(node: object) -> object:
    """Returns `node` with the ends of the text replaced by the edges of words."""
    if isinstance(node, Edge):
        return Edge("|") if node.kind in "^$AZ" else node
    if isinstance(node, Sequence | Choice):
        return type(node)(tuple(_unanchored(part) for part in node.parts))
    if isinstance(node, Repeat):
        return Repeat(_unanchored(node.part), node.low, node.high)
    return node
