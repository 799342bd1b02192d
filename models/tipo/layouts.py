"""From a request to its regions, and from expanded regions to the texts of an expansion, without a model.

Convention: what `lay_out_regions` makes depends on the request and the regions alone, so an expansion can be
laid out again, by `lay_out`, long after the model has gone. A stored text has its additions in it, and what
the request says by now may be something else: it is laid out as if its user had written all of it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..prompt.document import Document, Region, escape, read
from ..prompt.layout import Additions, fill, find_layout, gather, turns_round
from .bans import list_words
from .expansion import Expansion, RegionExpansion, Request
from .prose import join_sentences
from .tags import TagTable

_TAKEN_AWAY = re.compile(r":\s*-")
AHEAD = "what was added stands first, for your text leaves a bracket, a <...> or a comment open"


@dataclass(frozen=True)
class Stored(Expansion):
    """An expansion that was read from a `text`, which is its prompt until it is laid out."""

    text: str = ""


def read_prompt(request: Request, prompt: str, tags: TagTable) -> Document:
    """Returns a prompt taken apart as the options of the request say."""
    options = request.options
    return read(prompt, regions=options.regions, form=options.form, **_reading(request, tags))


def read_request(request: Request, tags: TagTable) -> Document:
    """Returns the prompt taken apart; prose from its own box becomes a line of the first region."""
    document = read_prompt(request, request.prompt, tags)
    if not request.prose.strip():
        return document
    (box,) = read(request.prose, regions="off", form="prose", **_reading(request, tags)).regions
    parts = list(document.parts)
    place = next(i for i, part in enumerate(parts) if isinstance(part, Region))
    parts[place] = _joined(parts[place], box)
    return Document(tuple(parts))


def of_one_picture(document: Document) -> list[int]:
    """Returns the numbers of the regions that one picture is to show together.

    These are all of them but those of a prompt that AND takes away, by a weight below zero.
    """
    shown, prompt, number = [], [], 0
    for part in document.parts:
        if isinstance(part, Region):
            prompt.append(number)
            number += 1
        elif part.startswith(":") or part.endswith("AND"):
            shown += [] if _TAKEN_AWAY.match(part) else prompt
            prompt = []
    return shown + prompt


def _reading(request: Request, tags: TagTable) -> dict:
    return {
        "comments": request.comments,
        "protect": list_words(request.options.protect),
        "known": lambda text: tags.lookup(text) != "general",
    }


def _joined(region: Region, box: Region) -> Region:
    joint = ", " if region.single_line else "\n"
    start = region.text + joint if region.text.strip() else region.text
    moved = (replace(u, start=u.start + len(start), end=u.end + len(start)) for u in box.units)
    return replace(region, text=start + box.text, units=(*region.units, *moved))


def lay_out(expansion: Expansion, layout: str, *, tags: TagTable) -> Expansion:
    """Returns the same expansion in another layout: a preset or a template.

    Raises ValueError for a text that is neither.
    """
    request = replace(expansion.request, options=replace(expansion.request.options, layout=layout))
    asked = read_request(request, tags)
    if isinstance(expansion, Stored):
        prompt = unexpanded(request, read_prompt(request, expansion.text, tags), tags).prompt
        user_prompt = unexpanded(request, asked, tags).user_prompt
    else:
        new = lay_out_regions(request, asked, expansion.regions, seed=expansion.seed)
        prompt, user_prompt = new.prompt, new.user_prompt
    return replace(expansion, request=request, prompt=prompt, user_prompt=user_prompt)


def unexpanded(request: Request, document: Document, tags: TagTable) -> Expansion:
    """Returns the texts of an expansion that adds nothing to `document`."""
    regions = [
        RegionExpansion(region.text, tags.classify(region.tags), {}, region.prose)
        for region in document.regions
    ]
    return lay_out_regions(request, document, regions, seed=request.options.seed)


def lay_out_regions(
    request: Request, document: Document, regions: Sequence[RegionExpansion], *, seed: int
) -> Expansion:
    """Returns the texts of an expansion of `document`, which has these `regions` in this order."""
    full = [_additions(region) for region in regions]
    none = [Additions(user_categories=each.user_categories) for each in full]
    return Expansion(
        request=request,
        original=document.source,
        prompt=_filled(request, document, full),
        user_prompt=_filled(request, document, none),
        added="\n".join(filter(None, (_told(r.added_tags, r.added_prose) for r in regions))),
        tags=gather_tags(document, full),
        prose=gather_prose(document, full),
        seed=seed,
        regions=tuple(regions),
        notes=_notes(request, document, full),
    )


def _notes(request: Request, document: Document, additions: Sequence[Additions]) -> tuple[str, ...]:
    layout = find_layout(request.options.layout)
    pairs = zip(document.regions, additions, strict=True)
    return (AHEAD,) if any(turns_round(layout, region, each) for region, each in pairs) else ()


def _filled(request: Request, document: Document, additions: Sequence[Additions]) -> str:
    layout = find_layout(request.options.layout)
    pairs = zip(document.regions, additions, strict=True)
    return document.replace([fill(layout, region, each) for region, each in pairs])


def gather_tags(document: Document, additions: Sequence[Additions]) -> str:
    """Returns the tags of all regions, as they were written, each with its additions."""
    return ", ".join(_gathered(document, additions, prose=False))


def gather_prose(document: Document, additions: Sequence[Additions]) -> str:
    """Returns the prose of all regions, as it was written, each with its additions and on its own line."""
    return "\n".join(_gathered(document, additions, prose=True))


def _gathered(document: Document, additions: Sequence[Additions], *, prose: bool) -> Iterator[str]:
    pairs = zip(document.regions, additions, strict=True)
    return filter(None, (gather(region, each, prose=prose) for region, each in pairs))


def _additions(region: RegionExpansion) -> Additions:
    categories = {term: category for category, terms in region.user_tags.items() for term in terms}
    return Additions(region.added_tags, region.continued, region.caption, categories)


def _told(tags, sentences: Sequence[str]) -> str:
    """Returns tags by category and, on a line of their own, sentences, as they can stand in a prompt."""
    listed = ", ".join(_spelled(tag) for category in tags.values() for tag in category)
    return "\n".join(filter(None, (listed, _spelled(join_sentences(sentences)))))


def _spelled(text: str) -> str:
    """Returns the text as it can stand in a prompt, where that is possible."""
    return escape(text) or text
