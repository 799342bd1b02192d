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

FEW = 3  # so many tags may be in a prompt by chance


@dataclass(frozen=True)
class Words:
    """Tags and sentences by their keys."""

    tags: frozenset[str] = frozenset()
    sentences: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.tags) + len(self.sentences)

    def __and__(self, other: "Words") -> "Words":
        return Words(self.tags & other.tags, self.sentences & other.sentences)


def prompt_words(request: Request, *, tags: TagTable) -> Words:
    """Returns what the prompt of a request says."""
    regions = read_prompt(request, request.prompt, tags).regions
    sentences = (sentence for region in regions for sentence in split_sentences(region.prose))
    return _words((tag for region in regions for tag in region.tags), sentences)


def added_words(expansion: Expansion, *, tags: TagTable) -> Words:
    """Returns what an expansion added; some layouts leave out tags or sentences."""
    regions = expansion.regions
    new = (tag for region in regions for terms in region.added_tags.values() for tag in terms)
    added = _words(new, (sentence for region in regions for sentence in region.added_prose))
    return added & prompt_words(replace(expansion.request, prompt=expansion.prompt), tags=tags)


def _words(tags: Iterable[str], sentences: Iterable[str]) -> Words:
    return Words(frozenset(map(canonical, tags)), frozenset(map(sentence_key, sentences)))


def holds(prompt: Words, added: Words, *, share: float) -> bool:
    """Returns whether a prompt holds that share of what was added, and more than a few tags of it."""
    kept = prompt & added
    return len(kept) >= share * len(added) and (len(kept.tags) >= FEW or bool(kept.sentences))
