"""From a request to its regions, and from expanded regions to the texts of an expansion, without a model.

Convention: what `lay_out_regions` makes depends on the request and the regions alone, so an expansion can be
laid out again, by `lay_out`, long after the model has gone.
"""

from collections.abc import Sequence
from dataclasses import replace

from ..prompt.document import Document, Region, escape, read
from ..prompt.layout import Additions, fill, find_layout
from .expansion import Expansion, RegionExpansion, Request
from .prose import join_sentences
from .tags import TagTable


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


def _reading(request: Request, tags: TagTable) -> dict:
    words = request.options.protect.replace(",", "\n").split("\n")
    return {
        "comments": request.comments,
        "protect": [word.strip() for word in words if word.strip()],
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
    new = lay_out_regions(request, read_request(request, tags), expansion.regions, seed=expansion.seed)
    return replace(expansion, request=request, prompt=new.prompt, user_prompt=new.user_prompt)


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
        tags=", ".join(filter(None, (_listed(r.user_tags, r.added_tags) for r in regions))),
        prose="\n".join(filter(None, (_prose(r) for r in regions))),
        seed=seed,
        regions=tuple(regions),
    )


def _filled(request: Request, document: Document, additions: Sequence[Additions]) -> str:
    layout = find_layout(request.options.layout)
    pairs = zip(document.regions, additions, strict=True)
    return document.replace([fill(layout, region, each) for region, each in pairs])


def _additions(region: RegionExpansion) -> Additions:
    categories = {term: category for category, terms in region.user_tags.items() for term in terms}
    return Additions(region.added_tags, region.continued, region.caption, categories)


def _told(tags, sentences: Sequence[str]) -> str:
    """Returns tags by category and, on a line of their own, sentences, as they can stand in a prompt."""
    return "\n".join(filter(None, (_listed(tags), _spelled(join_sentences(sentences)))))


def _listed(*groups) -> str:
    """Returns the tags of all groups, each by category, as they can stand in a prompt."""
    return ", ".join(_spelled(tag) for group in groups for tags in group.values() for tag in tags)


def _prose(region: RegionExpansion) -> str:
    added = join_sentences(region.added_prose)
    return " ".join(filter(None, (_spelled(region.user_prose), _spelled(added))))


def _spelled(text: str) -> str:
    """Returns the text as it can stand in a prompt, where that is possible."""
    return escape(text) or text
