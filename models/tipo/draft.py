"""One region of one variation while its passes run: what the user wrote, what was added, what may be."""

import copy
import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch

from ..prompt.document import Region, canonical, escape
from ..prompt.sentences import ends_sentence, split_sentences
from ..published.tipo import KnownModel
from .bans import Bans
from .conflicts import Conflicts
from .expansion import RegionExpansion
from .options import ExpandOptions
from .plan import Pass
from .prose import join_sentences, sentence_key, stutters
from .tag_words import CATEGORIES
from .tags import TagTable, spell
from .wire import METADATA, Fields, aspect_ratio

CONTENT_CATEGORIES = ("special", "general")
REPEATED = "it is there already"
UNSAFE = "no spelling of it is safe there in a prompt"
LONGEST_CLAIM = 5  # words of a phrase that can contradict something, and one more
LONGEST_WORD = 200  # letters of a tag or word that is shown when not all of a prompt can be

_MAY_BE_UNSAFE = re.compile(r"[^\w\s.,;!?'\"-]|__|[A-Z]{3}")


@dataclass(frozen=True)
class Rules:
    """What all drafts of a request share."""

    options: ExpandOptions
    tags: TagTable
    bans: Bans
    model: KnownModel | None = None

    def metadata(self, user: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Returns the metadata the model is shown: the user's, else the options'."""
        fallback = {"meta": self.options.meta, "quality": self.options.quality, "rating": self.options.rating}
        shown = {}
        for category in METADATA:
            words = user.get(category) or [w.strip() for w in fallback.get(category, "").split(",")]
            told = [word for term in words if term for word in spell(term, category)]
            if category == "rating" and self.model:
                told = [part.strip() for word in told for part in self.model.rating(word).split(",")]
            shown[category] = tuple(dict.fromkeys(told))
        return shown


@dataclass
class Draft:
    """A region being expanded. `sentences` continue the user's prose, `caption` is written afresh."""

    region: Region
    seed: int
    rules: Rules
    added: dict[str, list[str]] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    caption: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.user = self.rules.tags.classify(_each_once(self.region.tags))
        self.user_prose = self.region.prose
        self.seen = {canonical(term) for term in self.region.tags}
        self.told = {sentence_key(sentence) for sentence in split_sentences(self.user_prose)}
        self.conflicts = None
        if self.rules.options.avoid_conflicts:
            names = (term for term in self.region.tags if not self.counts_tag(term))
            self.conflicts = Conflicts(self.region.tags, prose=self.user_prose, names=names)

    def fork(self) -> "Draft":
        """Returns a draft that goes on from here by itself."""
        return copy.deepcopy(self, {id(part): part for part in (self.region, self.rules)})

    @property
    def tag_count(self) -> int:
        """How many content tags there are: the user's and the added."""
        return sum(len(self.user.get(c, ())) + len(self.added.get(c, ())) for c in CONTENT_CATEGORIES)

    @property
    def prose(self) -> str:
        """The prose so far, each sentence of it ended."""
        return join_sentences([*split_sentences(self.user_prose), *self.sentences])

    @property
    def user_sentences(self) -> int:
        """How many sentences the user wrote; a phrase without an end, such as `a city`, is none."""
        return sum(map(ends_sentence, split_sentences(self.user_prose)))

    def reasons(self) -> list[tuple[str, str]]:
        """Returns what was refused for a reason the user should know, with it."""
        return [(text, reason) for text, reason in self.refused.items() if reason != REPEATED]

    def judge_tag(self, tag: str) -> str | None:
        """Says why a tag may not be added."""
        key = canonical(tag)
        if not key or key in self.seen:
            return REPEATED
        if pattern := self.rules.bans.match(tag):
            return f"banned by {pattern!r}"
        if not self.is_safe(tag):
            return UNSAFE
        return self.conflicts.reason(tag) if self.conflicts else None

    def counts_tag(self, tag: str) -> bool:
        """Says whether a tag counts towards the length."""
        return self.rules.tags.lookup(tag) in CONTENT_CATEGORIES

    def keep(self, tags: Iterable[str]) -> None:
        """Adds tags that the user chose among earlier additions; bans and contradictions do not matter."""
        for tag in tags:
            if canonical(tag) not in self.seen | {""}:
                if self.is_safe(tag):
                    self.accept_tag(tag)
                else:
                    self.refused[tag] = UNSAFE

    def result(self) -> RegionExpansion:
        """Returns what the region has become."""
        added = {category: tuple(self.added[category]) for category in CATEGORIES if category in self.added}
        return RegionExpansion(
            self.region.text, self.user, added, self.user_prose, tuple(self.sentences), tuple(self.caption)
        )

    def accept_tag(self, tag: str) -> None:
        """Adds a tag."""
        self.added.setdefault(self.rules.tags.lookup(tag), []).append(tag)
        self.seen.add(canonical(tag))
        if self.conflicts:
            self.conflicts.add(tag)

    def judge_prose(self, words: str, finished: bool) -> str | None:
        """Says why the words of a sentence, so far or finished, may not be added."""
        if self.rules.bans and (pattern := self.rules.bans.match_sentence(words)):
            return f"banned by {pattern!r}"
        if stutters(words) or (finished and sentence_key(words) in self.told):
            return REPEATED
        if not self.is_safe(words):
            return UNSAFE
        # What was said before the last words has been judged already.
        judged = words if finished else " ".join(words.split()[-LONGEST_CLAIM:])
        return self.conflicts.prose_reason(judged) if self.conflicts else None

    def accept_prose(self, sentence: str) -> None:
        """Takes a finished sentence, which may not come again."""
        self.told.add(sentence_key(sentence))
        if self.conflicts:
            self.conflicts.add_prose(sentence)

    def is_safe(self, text: str) -> bool:
        """Returns whether every host reads `text`, rightly spelled, as plain words in this region."""
        if not _MAY_BE_UNSAFE.search(text):
            return True
        spelled = escape(text)
        return spelled is not None and not any(
            c in self.region.forbidden or unicodedata.category(c) == "Cc" for c in spelled
        )

    def fields(self, task_field: str) -> Fields:
        """Returns what the model is shown, prose under `task_field`."""
        tags = self.rules.metadata(self.user)
        for category in CONTENT_CATEGORIES:
            words = [word for term in self.user.get(category, ()) for word in spell(term, category)]
            tags[category] = (*words, *self.added.get(category, ()))
        options = self.rules.options
        shown = Fields(tags, aspect_ratio=aspect_ratio(options.width, options.height))
        return replace(shown, **{task_field: self.prose or " ".join(self.caption)})

    def generator(self, *place: object) -> torch.Generator:
        """Returns the generator of one pass: it depends on the seed and the place, not on what ran before."""
        name = ":".join(map(str, (self.seed, *place)))
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        return torch.Generator().manual_seed(number & (2**63 - 1))


def closed(text: str, step: Pass) -> str:
    """Returns a request whose last tag or sentence is ended, so that the model cannot make it another."""
    if step.writes == "tags":
        return text + ","
    return text if ends_sentence(text) else text + "."


def shortened(fields: Fields, share: float) -> Fields:
    """Returns the fields with `share` of their words: of each category the last, of prose the first."""
    tags = {category: _short(words) for category, words in fields.tags.items()}
    kept = {category: words[len(words) - math.ceil(len(words) * share) :] for category, words in tags.items()}
    prose = {name: _short(getattr(fields, name).split()) for name in ("short", "long")}
    cut = {name: " ".join(words[: math.ceil(len(words) * share)]) for name, words in prose.items()}
    return replace(fields, tags=kept, **cut)


def _short(words: Iterable[str]) -> list[str]:
    return [word for word in words if len(word) <= LONGEST_WORD]


def _each_once(terms: Iterable[str]) -> list[str]:
    found: dict[str, str] = {}
    for term in terms:
        found.setdefault(canonical(term), term)
    return list(found.values())
