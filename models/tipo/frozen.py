"""Expansions that were stored as text: an artist froze them, perhaps edited them, and wants just that again.

Convention: a stored text is one prompt for each variation, parted by lines of `---`; a line of a prompt that
is just that has a backslash before it, and so has a prompt that is blank: what is blank without one was left
behind by an edit. Nothing is written and no language model is needed; what of a prompt is the user's own is
found by comparing it with the request.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..prompt.document import Region, canonical, split_sentences
from .expansion import Expansion, RegionExpansion, Request
from .layouts import Stored, lay_out_regions, read_prompt, read_request, unexpanded
from .options import variation_seed
from .prose import sentence_key
from .tags import TagTable

_PARTED = re.compile(r"(?:\r?\n)?^[ \t]*---[ \t]*\r?$\n?", re.MULTILINE)
_BLANK = re.compile(r"(\\*)[ \t\r\n]*")
_ESCAPED = re.compile(r"^([ \t]*)\\(\\*---[ \t]*\r?)$", re.MULTILINE)


@dataclass(frozen=True)
class Share:
    """Which prompts of a stored text belong to the item at `place`, from 0, of `places` with `count` prompts
    each; those that are left over are the last item's."""

    count: int = 1
    place: int = 0
    places: int = 1

    def of(self, prompts: Sequence[str]) -> Sequence[str]:
        """Returns the prompts of the item."""
        first = self.place * self.count
        return prompts[first:] if self.place + 1 == self.places else prompts[first : first + self.count]


WHOLE = Share()


def frozen_expansions(
    request: Request, text: str, share: Share = WHOLE, *, tags: TagTable
) -> tuple[Expansion, ...]:
    """Returns the expansions that `text` holds, or a share of them; each `prompt` is as it stands there.

    The seeds are those of expansions that are written. Raises ValueError when the text is empty.
    """
    prompts = [prompt for part in _PARTED.split(text) if (prompt := _read(part)) is not None]
    if not prompts:
        raise ValueError(
            "a frozen prompt must have a text, and it is empty; generate once and freeze the result, or write"
            " a prompt"
        )
    plain = unexpanded(request, read_request(request, tags), tags)
    return tuple(
        _frozen(plain, prompt, variation_seed(request.options, k), tags=tags)
        for k, prompt in enumerate(share.of(prompts))
    )


def _read(part: str) -> str | None:
    """The prompt that a part of a stored text stands for, None where it stands for none."""
    if blank := _BLANK.fullmatch(part):
        return part[1:] if blank[1] else None
    return _ESCAPED.sub(r"\1\2", part)


def _frozen(plain: Expansion, prompt: str, seed: int, *, tags: TagTable) -> Expansion:
    document = read_prompt(plain.request, prompt, tags)
    same = len(document.regions) == len(plain.regions)
    regions = []
    for number, region in enumerate(document.regions):
        own = plain.regions[number : number + 1] if same else plain.regions
        regions.append(_told_apart(region, own, tags))
    made = lay_out_regions(plain.request, document, regions, seed=plain.seed)
    whole = unexpanded(plain.request, document, tags)  # what was added stands in the document
    return Stored(
        request=plain.request,
        original=plain.original,
        prompt=prompt,
        user_prompt=plain.user_prompt,
        added=made.added,
        tags=whole.tags,
        prose=whole.prose,
        seed=seed,
        regions=made.regions,
        text=prompt,
    )


def _told_apart(region: Region, own: Sequence[RegionExpansion], tags: TagTable) -> RegionExpansion:
    """The region of a stored prompt, where the user's are the tags and sentences of `own`."""
    words = {canonical(tag) for each in own for terms in each.user_tags.values() for tag in terms}
    said = {sentence_key(sentence) for each in own for sentence in split_sentences(each.user_prose)}
    sentences = split_sentences(region.prose)
    return RegionExpansion(
        region.text,
        tags.classify([tag for tag in region.tags if canonical(tag) in words]),
        tags.classify([tag for tag in region.tags if canonical(tag) not in words]),
        " ".join(sentence for sentence in sentences if sentence_key(sentence) in said),
        tuple(sentence for sentence in sentences if sentence_key(sentence) not in said),
    )
