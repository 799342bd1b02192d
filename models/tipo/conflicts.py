"""Conflicts: additions that contradict what the user said, or what was added before them.

Convention: an axis is a question about the picture (what hour, which hair colour), and a tag leaves some of
its answers open; a tag contradicts the prompt when no answer is left for both. People are counted in
`people`; questions about one person (hair, clothes, pose) are not asked once there are two. The user's own
terms are never judged: where two of them disagree, both stay open. Parts of one picture share its people and
its scene; what one says of a person is its own.
Source: what the words mean on Danbooru; where its pictures often carry both words, nothing is said here.
"""

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from ..prompt.document import canonical
from .people import MENTIONS, NUMBERS, PARTED, PEOPLE, SOME, Asked, People, mentions, people_in_prose

# Axis -> answers that stay open -> the tags that say so.
SCENE = {
    "hour": {
        "dawn": "dawn, sunrise",
        "dawn day": "morning",
        "day": "day, daytime, noon, midday, afternoon",
        "dusk": "dusk, sunset",
        "dusk night": "evening",
        "dawn dusk": "twilight, golden hour",
        "dawn day dusk": "sun, sunny, sunlight, sunbeam, dappled sunlight, blue sky",
        "dawn dusk night": "moon, full moon, crescent moon, star (sky), starry sky",
        "night": "night, midnight, night sky, moonlight",
    },
    "season": {
        # In sentences the bare word may be a well or a coil.
        "spring": "spring (season), cherry blossoms, springtime, in spring, early spring, late spring, "
        "spring has come, spring day, spring morning, spring afternoon, spring evening, spring night",
        "summer": "summer",
        "autumn": "autumn, autumn leaves",
        "winter": "winter",
        "autumn winter spring": "snow, snowing",
    },
    "weather": {
        "clear": "clear sky",
        "clear cloudy": "sunny",
        "cloudy rain snow": "cloudy sky, overcast, storm",
        "rain": "rain, heavy rain",
        "snow": "snowing, blizzard",
    },
    "place": {
        "inside": "indoors, bedroom, bathroom, kitchen, living room, classroom, hallway",
        "outside": "outdoors, forest, beach, street, alley, field, rooftop, desert",
        "inside outside": "scenery, landscape, cityscape",
        "nowhere": "simple background, transparent background, abstract background",
    },
    "shot": {
        "close": "close-up, portrait",
        "close upper": "upper body, head out of frame",
        "cowboy": "cowboy shot",
        "lower": "lower body",
        "far": "full body, wide shot, very wide shot",
    },
    "angle": {"above": "from above", "below": "from below"},
    "palette": {
        "grey": "monochrome, greyscale",
        "warm": "warm colors",
        "cool": "cool colors",
        "warm cool vivid": "colorful, vivid colors, high saturation",
    },
    "rating": {"safe": "safe, sfw, general", "sensitive": "sensitive", "adult": "nsfw, explicit"},
    "quality": {
        "good": "masterpiece, best quality, great quality, good quality, amazing quality, very aesthetic",
        "bad": "low quality, worse quality, worst quality, bad quality, displeasing, very displeasing",
    },
    "resolution": {"low": "lowres", "high": "highres, absurdres, incredibly absurdres"},
}
PERSON = {
    "hair length": {
        "none": "bald",
        "short": "short hair, very short hair, pixie cut",
        "medium": "medium hair",
        "long": "long hair, very long hair, absurdly long hair",
    },
    "pose": {
        "stand": "standing, standing on one leg, contrapposto",
        "sit": "sitting, seiza, wariza, indian style",
        "lie": "lying, on back, on stomach, on side",
        "kneel": "kneeling",
        "squat": "squatting",
        "walk": "walking",
        "run": "running",
    },
    "mouth": {"open": "open mouth", "closed": "closed mouth"},
    "facing": {"away": "facing away", "viewer": "looking at viewer, facing viewer"},
}
NOT_IN_PROSE = ("rating", "quality", "resolution", "angle")  # "the sun shines from above"

# A colour and the other names it goes by; `light` and `dark` may stand before each.
COLOURS = {
    "aqua": "cyan, teal, turquoise",
    "black": "",
    "blue": "",
    "brown": "",
    "green": "",
    "grey": "gray, silver",
    "orange": "ginger",
    "pink": "",
    "purple": "violet, lavender",
    "red": "crimson",
    "white": "",
    "yellow": "blonde, blond, platinum blonde, gold, golden, amber",
}
MIXED = ("multicolored", "two-tone", "gradient", "rainbow", "streaked", "split-color", "colored inner")
PERSON_PARTS = frozenset(
    (
        *("hair", "eyes", "skin", "lips", "nails"),
        *("dress", "skirt", "shirt", "pants", "shorts", "jacket", "coat", "hoodie"),
        *(
            "sweater",
            "kimono",
            "yukata",
            "swimsuit",
            "bikini",
            "leotard",
            "bodysuit",
            "thighhighs",
            "pantyhose",
        ),
        *("socks", "gloves", "footwear", "shoes", "boots", "hat", "headwear", "cape", "cloak", "scarf"),
        *("necktie", "vest", "apron", "bra", "panties", "wings", "horns", "tail", "fur"),
    )
)
SCENE_PARTS = frozenset(("sky", "background", "roof"))
PARTS = PERSON_PARTS | SCENE_PARTS
# "white hair ornament" in a sentence says nothing about the hair.
THINGS = frozenset(("ornament", "ribbon", "band", "bow", "clip", "tie", "pin", "flower", "lace", "trim"))

# Tags that say who is there: `two girls kiss`, `cute girl`, `woman in red`. `man bun` and `boy's love` do
# not, and `girl on top` does not say all.
_SOMEBODY = rf"\b(?:{'|'.join(MENTIONS)})\b(?!['’])"
_COUNTED = rf"(?:{'|'.join(word for word, number in NUMBERS.items() if number)})\b"
_NEXT = rf"(?:{'|'.join(PARTED)}|without|\w\w+ing|\w\w+ed)\b"
_SAYS_WHO = re.compile(rf"{_COUNTED}.*{_SOMEBODY}|(?!no |without ).*{_SOMEBODY}(?:\W*$| (?!on top$){_NEXT})")
_JOINED = re.compile(r"\b(?!1\w+s\b)(\d)\+?(?=(?:girl|boy)s?\b)")  # `1girls` is a slip, not a plural


@dataclass(frozen=True, slots=True)
class Claim:
    """What a tag says about one axis; `mixed` means several answers at once, as in `multicolored hair`."""

    axis: str
    open: frozenset[str]
    person: bool = False
    mixed: bool = False


def _named() -> dict[str, tuple[Claim, ...]]:
    found: dict[str, tuple[Claim, ...]] = {}
    for person, axes in ((False, SCENE), (True, PERSON)):
        for axis, rows in axes.items():
            for answers, tags in rows.items():
                claim = Claim(axis, frozenset(answers.split()), person)
                for tag in tags.split(", "):
                    found[tag] = (*found.get(tag, ()), claim)
    found["heterochromia"] = (Claim("eyes", frozenset(("mixed",)), person=True, mixed=True),)
    return found


def _colours() -> dict[str, frozenset[str]]:
    found = {}
    for colour, others in COLOURS.items():
        for name in (colour, *filter(None, others.split(", "))):
            found[name] = frozenset((f"light {colour}", colour, f"dark {colour}"))
            for shade in ("light", "dark"):
                found[f"{shade} {name}"] = frozenset((f"{shade} {colour}",))
    return found


NAMED = _named()
COLOUR_NAMES = _colours()


@lru_cache(8192)
def claims(key: str) -> tuple[Claim, ...]:
    """Returns what a tag, in its canonical form, says about the picture; most tags say nothing."""
    named = NAMED.get(key, ())
    colour, _, part = key.rpartition(" ")
    if part in PARTS:
        answers = COLOUR_NAMES.get(colour)
        if answers:
            named = (*named, Claim(part, answers, part in PERSON_PARTS))
            if part == "background":
                named = (*named, *NAMED["simple background"])
        elif colour in MIXED and part in PERSON_PARTS:
            named = (*named, Claim(part, frozenset(("mixed",)), person=True, mixed=True))
    return named


def people(key: str) -> Asked:
    """Returns the least and the most of each kind of person that a tag asks for; most ask nothing."""
    if key not in PEOPLE and key.endswith(" hair") and claims(key):
        return {"people": SOME}
    return PEOPLE.get(key, {})


Count = tuple[str, Asked]
"""Who asks for people, and for how many."""


def _counts(key: str) -> bool:
    """Returns whether a tag that is none of `PEOPLE` counts people as a sentence does."""
    return not people(key) and (_is_long(key) or _SAYS_WHO.match(_parted(key)) is not None)


def _is_long(key: str) -> bool:
    return key.count(" ") >= 5


def _parted(text: str) -> str:
    """Returns a text with the number of `2girls` as a word of its own."""
    return _JOINED.sub(r"\1 ", text)


def _no_fewer(counts: Iterable[Count], than: Iterable[Count]) -> list[Count]:
    """Returns the counts but those of fewer people: `a girl` beside `2girls` is one of them."""
    least: dict[str, float] = {}
    for _, asked in than:
        for kind, (low, _) in asked.items():
            least[kind] = max(low, least.get(kind, 0))
    kept = ((who, {k: v for k, v in asked.items() if v[1] >= least.get(k, 0)}) for who, asked in counts)
    return [(who, asked) for who, asked in kept if asked]


class Conflicts:
    """What is settled about one picture: by the user's terms and prose, then by every tag that is added.

    `user_terms` are plain tags; a term of six words or more is read as prose, as `prose` is. Prose counts
    people, too, and so does a shorter term that says who is there, but none of `names`, such as the series
    `one punch man`. In a part of a picture, what the `picture` has settled holds as well.
    """

    def __init__(self, user_terms: Iterable[str] = (), *, prose: str = "", names: Iterable[str] = ()):
        terms = [(term, canonical(term)) for term in user_terms]
        keys, named = dict.fromkeys(key for _, key in terms), set(map(canonical, names))
        counts = [(f"your {term!r}", asked) for term, key in terms if (asked := people(key))]
        in_words = (*(key for key in keys if _counts(key) and key not in named), prose)
        found = people_in_prose(" and ".join(map(_parted, in_words)))
        counts += _no_fewer([(f"your {word!r}", asked) for word, asked in found], counts)
        said = [(f"your {term!r}", claim) for term, key in terms for claim in claims(key)]
        for text in (prose, *filter(_is_long, keys)):
            said += [(f"your {phrase!r}", claim) for phrase, claim in _in_prose(text)]
        self._start(frozenset(keys), tuple(counts), tuple(said))

    def _start(self, own: Set[str], counts: Sequence[Count], said: Sequence[tuple[str, Claim]]) -> None:
        """Settles what the user says: the canonical terms, which are never judged, and what they mean."""
        self.own, self.counts, self.said = own, counts, said
        self.picture: Picture | None = None
        self._open: dict[str, frozenset[str]] = {}
        self._said: dict[str, list[tuple[str, frozenset[str]]]] = {}
        self._free: set[str] = set()
        self._people = People()
        for who, asked in counts:
            self._people.count(who, asked)
        for who, claim in said:
            self._say(who, claim)
        self._people.settle()

    def reason(self, tag: str) -> str | None:
        """Returns why `tag` cannot be added, as in "contradicts your 'blue hair'"; None when it can."""
        return self._reason(canonical(tag)) or (self.picture.reason(tag) if self.picture else None)

    def prose_reason(self, text: str) -> str | None:
        """Returns why the sentence, or the words so far, `text` cannot be added; None when it can."""
        return self._prose_reason(text) or (self.picture.prose_reason(text) if self.picture else None)

    def add(self, tag: str) -> None:
        """Takes `tag` as added: later ones must agree with it too."""
        key, who = canonical(tag), f"the added {tag!r}"
        self._people.count(who, people(key))
        for claim in claims(key):
            self._say(who, claim)
        if self.picture:
            self.picture.add(tag)

    def add_prose(self, text: str) -> None:
        """Takes a sentence as added: what follows must agree with it too."""
        for phrase, claim in _in_prose(text):
            self._say(f"the added {phrase!r}", claim)
        if self.picture:
            self.picture.add_prose(text)

    def _reason(self, key: str) -> str | None:
        if key in self.own:
            return None
        if not self._people.allow(asked := people(key)):
            return self._people.reason(asked)
        return next(filter(None, map(self._contradicted, claims(key))), None)

    def _prose_reason(self, text: str) -> str | None:
        for phrase, claim in _in_prose(text):
            if phrase not in self.own and (reason := self._contradicted(claim)):
                return reason
        for asked in mentions(text):
            if not self._people.allow(asked):
                return self._people.reason(asked)
        return None

    def _contradicted(self, claim: Claim) -> str | None:
        still = self._open.get(claim.axis)
        if still is None or still & claim.open or (claim.person and self._people.several):
            return None
        said = self._said[claim.axis]
        against = (who for who, answers in said if not answers & claim.open)
        return f"contradicts {next(against, said[0][0])}"

    def _say(self, who: str, claim: Claim) -> None:
        self._said.setdefault(claim.axis, []).append((who, claim.open))
        still = self._open.get(claim.axis, claim.open)
        if claim.mixed or claim.axis in self._free:
            self._free.add(claim.axis)
            self._open.pop(claim.axis, None)
        else:
            self._open[claim.axis] = still & claim.open or still | claim.open | {"mixed"}


class Picture(Conflicts):
    """What the parts of one picture settle together: who is there and the scene, but nothing of one person.

    Where the user's parts disagree, both stay open, but of people the larger count holds: the one girl of a
    part is among the two of another. Each part heeds its picture from now on.
    """

    def __init__(self, parts: Sequence[Conflicts]):
        counts = [count for part in parts for count in part.counts]
        said = dict.fromkeys(each for part in parts for each in part.said)
        self._start(frozenset().union(*(part.own for part in parts)), _no_fewer(counts, counts), tuple(said))
        for part in parts:
            part.picture = self

    def _say(self, who: str, claim: Claim) -> None:
        if not claim.person:
            super()._say(who, claim)


@lru_cache(1024)
def _in_prose(text: str) -> tuple[tuple[str, Claim], ...]:
    """Returns the phrases of a text that say something, with what they say.

    One word may stand between: "long blue hair" says both, and so does "a black and white dress". But "dark
    blue sky" and "blue night sky" are not "blue sky", nor has "a green forest background" a plain one.
    """
    words = re.findall(r"[\w-]+", text.lower())
    found: list[tuple[str, Claim]] = []
    for start, first in enumerate(words):
        for end in range(start + 1, min(start + 4, len(words)) + 1):
            if end < len(words) and words[end] in THINGS:
                continue
            if first in COLOUR_NAMES and start and words[start - 1] in ("light", "dark"):
                continue
            phrase, part, between = " ".join(words[start:end]), words[end - 1], words[start + 1 : end - 1]
            said = [(phrase, claim) for claim in claims(phrase)]
            if part in PARTS and (len(between) == 1 or between[:1] == ["and"]):
                short, person = f"{first} {part}", part in PERSON_PARTS
                said += [(short, claim) for claim in claims(short) if person or claim.axis == part]
            found += [(phrase, claim) for phrase, claim in said if claim.axis not in NOT_IN_PROSE]
    return tuple(found)
