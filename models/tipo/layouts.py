"""From a request to its regions, and from expanded regions to the texts of an expansion, without a model.

Convention: what `lay_out_regions` makes depends on the request and the regions alone, so an expansion can be
laid out again, by `lay_out`, long after the model has gone. A stored text has its additions in it, and what
the request says by now may be something else: it is laid out as if its user had written all of it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..prompt.document import Document, Region, Unit, canonical, escape, read
from ..prompt.joints import joint, split_ends, takes_more
from ..prompt.layout import Additions, Layout, fill, find_layout, gather, turns_round
from ..prompt.sentences import ends_sentence
from ..prompt.syntax import lex
from ..prompt.units import is_line_comment
from .bans import Bans, compile_bans, list_words
from .expansion import Expansion, RegionExpansion, Request
from .prose import join_sentences
from .tags import TagTable

_TAKEN_AWAY = re.compile(r":\s*-")
_LINE_BREAKS = re.compile(r"[ \t]*[\r\n]+[ \t]*")
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
    """Returns the prompt taken apart; prose from its own box becomes a line of the first region that the
    picture is to show, and a part of it where regions are lines."""
    document = read_prompt(request, request.prompt, tags)
    if not request.prose.strip():
        return document
    parts = list(document.parts)
    places = [i for i, part in enumerate(parts) if isinstance(part, Region)]
    place = places[next(iter(of_one_picture(document)), 0)]
    before, after = "".join(parts[place - 1 : place]), "".join(parts[place + 1 : place + 2])
    parts[place] = _joined(parts[place], _box(request, parts[place], tags), before[-1:], after[:1])
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


def expandable(document: Document) -> list[int]:
    """Returns the numbers of the regions to expand: those that say something; the first where none does.

    An empty part, such as the line between two others, is there for a reason and stays empty. What AND takes
    away stays what it is: more of it would be taken away of what the others want.
    """
    regions, shown = document.regions, of_one_picture(document)
    return [i for i in shown if regions[i].tags or regions[i].prose] or shown[:1]


def request_bans(request: Request) -> Bans:
    """Returns what a request bans; raises `BadPattern` for what cannot be understood."""
    mode = "substring" if request.options.compat != "none" else request.options.ban_mode
    return compile_bans(request.options.ban, mode=mode, exact=request.drop)


def _reading(request: Request, tags: TagTable) -> dict:
    return {
        "comments": request.comments,
        "protect": list_words(request.options.protect),
        "known": lambda text: tags.lookup(text) != "general",
    }


def _box(request: Request, region: Region, tags: TagTable) -> Region:
    """The prose of its own box; on one line, without comments, where a region has no more."""
    prose = request.prose
    if region.single_line:
        spans = lex(prose, comments=request.comments)
        prose = "".join(span.text for span in spans if not is_line_comment(span)).strip()
        prose = _LINE_BREAKS.sub(" ", prose)
    (box,) = read(prose, regions="off", form="prose", **_reading(request, tags)).regions
    return box


def _joined(region: Region, box: Region, before: str, after: str) -> Region:
    """The region with a box in it, and a blank where that would touch what stands before and after both."""
    at, start, end = _gap(region, box)
    start = " " if not at and before and not before.isspace() else start
    end = " " if region.text[at:] + end == "" and after and not after.isspace() else end
    text = start + box.text + end
    own = (u if u.start < at else _moved(u, len(text)) for u in region.units)
    units = sorted([*own, *(_moved(u, at + len(start)) for u in box.units)], key=lambda unit: unit.start)
    return replace(region, text=region.text[:at] + text + region.text[at:], units=tuple(units))


def _moved(unit: Unit, by: int) -> Unit:
    return replace(unit, start=unit.start + by, end=unit.end + by)


def _gap(region: Region, box: Region) -> tuple[int, str, str]:
    """Where in a region a box is put, and what stands between the two: it is a line of its own at the end.

    On a single line it stands before the comments there, and first where it would be in a bracket or comment.
    """
    if not region.single_line:
        at = len(region.text.rstrip())
        return at, "\n" if at else "", ""
    lead, core, tail = split_ends(region.text, region.comments)
    if not takes_more(core, region.comments):
        return len(lead), "", " " if ends_sentence(box.text) else ", "
    at = len(lead + core)
    after_prose = any(unit.prose and unit.end == at for unit in region.units)
    between = joint(lead + core, "", prose=True, after_prose=after_prose, single_line=True)
    return at, between, " " if tail and not tail[0].isspace() else ""


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
    layout = find_layout(request.options.layout)
    bans = request_bans(request) if layout.words or layout.ratings else Bans({})
    full = [_additions(region, bans) for region in regions]
    none = [replace(each, tags={}, prose=(), generated=()) for each in full]
    return Expansion(
        request=request,
        original=request.prompt,
        prompt=_filled(layout, document, full),
        user_prompt=_filled(layout, document, none),
        added="\n".join(filter(None, (_told(r.added_tags, r.added_prose) for r in regions))),
        tags=gather_tags(document, full),
        prose=gather_prose(document, full),
        seed=seed,
        regions=tuple(regions),
        notes=_notes(layout, document, full),
    )


def _notes(layout: Layout, document: Document, additions: Sequence[Additions]) -> tuple[str, ...]:
    pairs = zip(document.regions, additions, strict=True)
    return (AHEAD,) if any(turns_round(layout, region, each) for region, each in pairs) else ()


def _filled(layout: Layout, document: Document, additions: Sequence[Additions]) -> str:
    regions, wanted = document.regions, expandable(document)
    texts = [region.text for region in regions]
    if regions[0].single_line:  # the words of the layout are for all lines together
        said = {canonical(tag) for region in regions for tag in region.tags}
        words = {name: tuple(w for w in ws if canonical(w) not in said) for name, ws in layout.words.items()}
        layout = replace(layout, words=words)
    for place in wanted:
        texts[place] = fill(layout, regions[place], additions[place])
        if regions[place].single_line:
            layout = replace(layout, words=dict.fromkeys(layout.words, ()))
    return document.replace(texts)


def gather_tags(document: Document, additions: Sequence[Additions]) -> str:
    """Returns the tags of all regions, as they were written, each with its additions."""
    return ", ".join(_gathered(document, additions, prose=False))


def gather_prose(document: Document, additions: Sequence[Additions]) -> str:
    """Returns the prose of all regions, as it was written, each with its additions and on its own line."""
    return "\n".join(_gathered(document, additions, prose=True))


def _gathered(document: Document, additions: Sequence[Additions], *, prose: bool) -> Iterator[str]:
    pairs = zip(document.regions, additions, strict=True)
    return filter(None, (gather(region, each, prose=prose) for region, each in pairs))


def _additions(region: RegionExpansion, bans: Bans) -> Additions:
    categories = {term: category for category, terms in region.user_tags.items() for term in terms}
    return Additions(region.added_tags, region.continued, region.caption, categories, bans.match)


def _told(tags, sentences: Sequence[str]) -> str:
    """Returns tags by category and, on a line of their own, sentences, as they can stand in a prompt."""
    listed = ", ".join(_spelled(tag) for category in tags.values() for tag in category)
    return "\n".join(filter(None, (listed, _spelled(join_sentences(sentences)))))


def _spelled(text: str) -> str:
    """Returns the text as it can stand in a prompt, where that is possible."""
    return escape(text) or text
