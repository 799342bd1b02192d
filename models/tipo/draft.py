"""One region of one variation while its passes run: what the user wrote, what was added, what may be."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from ..prompt.document import Region, canonical, escape
from ..prompt.sentences import ends_sentence, split_sentences
from .bans import Bans
from .conflicts import Conflicts
from .options import ExpandOptions
from .plan import Pass
from .post import count_sentences, join_sentences
from .registry import KnownModel
from .tags import TagTable, spell
from .wire import METADATA, Fields, aspect_ratio

CONTENT_CATEGORIES = ("special", "general")
REPEATED = "it is there already"


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

    def __post_init__(self):
        self.user = self.rules.tags.classify(self.region.tags)
        self.user_prose = self.region.prose
        self.seen = {canonical(term) for term in self.region.tags}
        avoid = self.rules.options.avoid_conflicts
        self.conflicts = Conflicts(self.region.tags, prose=self.user_prose) if avoid else None

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
        return count_sentences(self.user_prose)

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
        if escape(tag) is None:
            return "no spelling of it is safe in a prompt"
        return self.conflicts.reason(tag) if self.conflicts else None

    def accept_tag(self, tag: str) -> bool:
        """Adds a tag; returns whether it counts towards the length."""
        category = self.rules.tags.lookup(tag)
        self.added.setdefault(category, []).append(tag)
        self.seen.add(canonical(tag))
        if self.conflicts:
            self.conflicts.add(tag)
        return category in CONTENT_CATEGORIES

    def judge_prose(self, sentence: str) -> str | None:
        """Says why a sentence, as far as it is written, may not be added."""
        if self.rules.bans and (pattern := self.rules.bans.match_sentence(sentence)):
            return f"banned by {pattern!r}"
        told = {*split_sentences(self.user_prose), *self.sentences, *self.caption}
        return REPEATED if sentence in told else None

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


def closed(text: str, step: Pass, fresh: bool) -> str:
    """Returns a request whose last tag or sentence is ended, so that the model cannot make it another."""
    if fresh or text.endswith(("tag:", "long:", "short:", ">")):
        return text
    if step.writes == "tags":
        return text + ","
    return text if ends_sentence(text) else text + "."


def shortened(fields: Fields, share: float) -> Fields:
    """Returns the fields with `share` of their tags and prose: the last tags, the first words."""
    general = fields.tags.get("general", ())
    kept: Sequence[str] = general[len(general) - int(len(general) * share) :]
    tags = {**fields.tags, "general": tuple(kept)}
    cut = {
        name: getattr(fields, name)[: int(len(getattr(fields, name)) * share)] for name in ("short", "long")
    }
    return replace(fields, tags=tags, **cut)
