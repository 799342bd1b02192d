"""How many people are in a picture: what tags and sentences ask for, and whether that can be.

Convention: counts are intervals (least, most) for girls, boys, others and all people together; a user who
counts one kind of person has counted all.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

Asked = Mapping[str, tuple[float, float]]
"""The least and the most of each kind of person, or of all `people`."""

KINDS = ("girl", "boy", "other")
MANY = (2, math.inf)
SOME = (1, math.inf)
PEOPLE: dict[str, Asked] = {
    "no humans": {"people": (0, 0)},
    "solo": {"people": (1, 1)},
    "duo": {"people": (2, 2)},
    "trio": {"people": (3, 3)},
    **{tag: {"people": MANY} for tag in ("solo focus", "couple", "twins", "siblings")},
    **{tag: {"people": (3, math.inf)} for tag in ("crowd", "people", "group")},
    "hetero": {"girl": SOME, "boy": SOME},
    "sisters": {"girl": MANY},
    "yuri": {"girl": MANY},
    "brothers": {"boy": MANY},
    "yaoi": {"boy": MANY},
    **{
        tag: {"boy": SOME}
        for tag in ("male focus", "mature male", "muscular male", "faceless male", "old man")
    },
    **{tag: {"girl": SOME} for tag in ("mature female", "muscular female", "faceless female", "old woman")},
    **{f"1{kind}": {kind: (1, 1)} for kind in KINDS},
    **{f"{n}{kind}s": {kind: (n, n)} for kind in KINDS for n in (2, 3, 4, 5)},
    **{f"6+{kind}s": {kind: (6, math.inf)} for kind in KINDS},
    **{f"multiple {kind}s": {kind: MANY} for kind in KINDS},
}
# Words of a sentence that put somebody into the picture.
MENTIONS = {
    **dict.fromkeys(("girl", "girls", "woman", "women", "lady", "ladies"), "girl"),
    **dict.fromkeys(("boy", "boys", "man", "men", "gentleman", "gentlemen"), "boy"),
}
PLURALS = frozenset(("girls", "women", "ladies", "boys", "men", "gentlemen"))
NUMBERS = {
    **dict.fromkeys(("no", "without"), 0),
    **dict.fromkeys(("a", "an", "one", "another", "1"), 1),
    **{"two": 2, "2": 2, "three": 3, "3": 3, "four": 4, "4": 4, "five": 5, "5": 5},
}
# Words of a sentence after which nobody can say how many there are.
UNCOUNTED = frozenset(
    ("people", "person", "persons", "crowd", "crowds", "couple", "family", "friends", "someone", "others")
)
# What cannot stand between a number and whom it counts.
PARTED = frozenset(("and", "or", "of", "with", "in", "on", "at", "by", "for", "near", "to", "from", "the"))


class People:
    """Who has been counted so far."""

    def __init__(self):
        self._counts: list[tuple[str, Asked]] = []
        self._bounds = dict.fromkeys((*KINDS, "people"), (0, math.inf))

    def count(self, who: str, asked: Asked) -> None:
        """Takes what `who` asks for; where two disagree, both stay possible."""
        if not asked:
            return
        self._counts.append((who, asked))
        for kind, (low, high) in asked.items():
            least, most = self._bounds[kind]
            agreed = (max(least, low), min(most, high))
            self._bounds[kind] = agreed if agreed[0] <= agreed[1] else (min(least, low), max(most, high))

    def settle(self) -> None:
        """Closes the count: who counts girls and no boys means no boys, unless that cannot be."""
        named = {kind for _, asked in self._counts for kind in asked}
        if named.intersection(KINDS):
            closed = self._bounds | {kind: (0, 0) for kind in KINDS if kind not in named}
            self._bounds = closed if _possible(closed) else self._bounds
        if not _possible(self._bounds):
            self._bounds["people"] = (0, math.inf)

    @property
    def several(self) -> bool:
        """Whether there are two people at least."""
        return max(self._bounds["people"][0], sum(self._bounds[kind][0] for kind in KINDS)) >= 2

    def allow(self, asked: Asked) -> bool:
        """Returns whether there can be those people too."""
        return not asked or _possible(_meet(self._bounds, asked))

    def reason(self, asked: Asked) -> str:
        """Names the first count that alone rules `asked` out, or all of them."""
        alone = dict.fromkeys((*KINDS, "people"), (0, math.inf))
        for who, bounds in self._counts:
            if not _possible(_meet(_meet(alone, bounds), asked)):
                return f"contradicts {who}"
        return "contradicts " + " with ".join(who for who, _ in self._counts)


def mentions(text: str) -> Iterator[Asked]:
    """Yields for each word of a text that speaks of somebody that they are there."""
    return ({MENTIONS[word]: SOME} for word in re.findall(r"\w+", text.lower()) if word in MENTIONS)


def people_in_prose(text: str) -> list[tuple[str, Asked]]:
    """Returns for each kind of person in a text the word that names it, and how many it asks for.

    `a girl` is one; `a girl` said twice may be two; with `people`, `friends` and the like nobody is counted.
    """
    words = re.findall(r"[\w-]+", text.lower())
    if UNCOUNTED.intersection(words):
        return []
    found: dict[str, list[tuple[str, tuple[float, float]]]] = {}
    for at, word in enumerate(words):
        if word in MENTIONS:
            number = _number_before(words[:at])
            found.setdefault(MENTIONS[word], []).append((word, _bounds(number, word in PLURALS)))
    return [_together(kind, said) for kind, said in found.items()]


def _number_before(words: Sequence[str]) -> int | None:
    """The number that counts what comes next, two words between at most; None where none does."""
    for at in reversed(range(max(0, len(words) - 3), len(words))):
        if words[at] in PARTED or words[at] in NUMBERS:
            denied = at and NUMBERS.get(words[at - 1]) == 0  # "without a man"
            return 0 if denied else NUMBERS.get(words[at])
    return None


def _bounds(number: int | None, plural: bool) -> tuple[float, float]:
    if number == 0 or (number is not None and plural == (number > 1)):
        return (number, number)
    return MANY if plural else SOME


def _together(kind: str, said: Sequence[tuple[str, tuple[float, float]]]) -> tuple[str, Asked]:
    """All mentions of one kind as one count: `the girl` is the one before, `a girl` may be another."""
    there = [(word, bounds) for word, bounds in said if bounds != (0, 0)]
    if not there:
        return said[0][0], {kind: (0, 0)}
    plurals = [bounds for word, bounds in there if word in PLURALS]
    if plurals:
        exact = [low for low, high in plurals if low == high]
        return there[0][0], {kind: (max(exact), max(exact)) if exact else MANY}
    counted = sum(bounds == (1, 1) for _, bounds in there)
    return there[0][0], {kind: (1, counted or math.inf)}


def _meet(bounds: Asked, asked: Asked) -> dict[str, tuple[float, float]]:
    met = dict(bounds)
    for kind, (low, high) in asked.items():
        met[kind] = (max(met[kind][0], low), min(met[kind][1], high))
    return met


def _possible(bounds: Asked) -> bool:
    """True when girls, boys and others can be counted so that they make up the people."""
    least, most = bounds["people"]
    fewest = sum(bounds[kind][0] for kind in KINDS)
    largest = sum(bounds[kind][1] for kind in KINDS)
    return all(low <= high for low, high in bounds.values()) and fewest <= most and largest >= least
