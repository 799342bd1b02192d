"""Whether a prompt still holds what an expansion added to it, though somebody has changed it since.

Convention: tags are compared by their canonical form and sentences by their key, so weights, order and what
stands around them make no difference.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..prompt.document import canonical, split_sentences
from .expansion import Expansion, Request
from .layouts import read_prompt
from .prose import sentence_key
from .tags import TagTable

FEW, MANY = 3, 6  # of the added tags, and of these and the user's own: two prompts share fewer by chance
COMMON = ("quality", "rating", "meta")  # words that a user has in every prompt


@dataclass(frozen=True)
class Words:
    """Tags and sentences by their keys."""

    tags: frozenset[str] = frozenset()
    sentences: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.tags) + len(self.sentences)

    def __and__(self, other: "Words") -> "Words":
        return Words(self.tags & other.tags, self.sentences & other.sentences)


@dataclass(frozen=True)
class Made:
    """What an expansion added, and what its user had said, but for the words of every prompt."""

    added: Words
    own: Words = Words()


def prompt_words(request: Request, *, tags: TagTable) -> Words:
    """Returns what the prompt of a request says."""
    regions = read_prompt(request, request.prompt, tags).regions
    sentences = (sentence for region in regions for sentence in split_sentences(region.prose))
    return _words((tag for region in regions for tag in region.tags), sentences)


def made_words(expansion: Expansion, *, tags: TagTable) -> Made:
    """Returns what an expansion was made of; some layouts leave out tags or sentences that it added."""
    regions = expansion.regions
    new = (tag for region in regions for terms in region.added_tags.values() for tag in terms)
    added = _words(new, (sentence for region in regions for sentence in region.added_prose))
    added &= prompt_words(replace(expansion.request, prompt=expansion.prompt), tags=tags)
    own = prompt_words(expansion.request, tags=tags)
    return Made(added, replace(own, tags=frozenset(t for t in own.tags if tags.lookup(t) not in COMMON)))


def _words(tags: Iterable[str], sentences: Iterable[str]) -> Words:
    return Words(frozenset(map(canonical, tags)), frozenset(map(sentence_key, sentences)))


def holds(prompt: Words, made: Made, *, share: float) -> bool:
    """Returns whether a prompt holds that share of what was added, and not by chance.

    By chance no prompt has a sentence of it or many tags, nor a few beside that share of the user's own.
    """
    kept, own = prompt & made.added, prompt & made.own
    if len(kept) < share * len(made.added):
        return False
    beside = len(own) if len(own) >= share * len(made.own) else 0
    return bool(kept.sentences) or (len(kept.tags) >= FEW and len(kept.tags) + beside >= MANY)
