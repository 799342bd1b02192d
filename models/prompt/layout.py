"""Output of an expansion: a region's own text and its additions, laid out by a template.

Placeholders: `<|prompt|>` is the region byte for byte. With it, all others hold additions only: `<|tags|>`
the added tags that have no placeholder of their own, `<|special|>`, `<|general|>`, ... those of a category,
`<|prose|>` and `<|extended|>` the added sentences, `<|generated|>` a caption written afresh.

Without it the template arranges the user's units, each as it was written: `<|kept|>` those that say nothing
a model may see (networks, wildcards), a category its tags and then the added ones, `<|extended|>` or
`<|prose|>` the user's prose and then the added. A unit that the template has no place for comes first, one
that leaves a bracket open or starts a comment comes last: none is lost, whatever the template.

Empty prose is replaced by the fresh caption when that has no place of its own (section 1.10 of the
specification). Additions that no spelling makes safe are left out; `left_out` names them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .document import Region, Unit
from .escape import canonical, escape
from .joints import hides_line, joint, reads_as_weight, split_ends, takes_more
from .presets import FAMILIES, PRESETS, Family, Layout
from .sentences import ends_sentence
from .syntax import lex
from .template import CATEGORIES, PLACEHOLDERS, PROSE, Part, parse, render, slots
from .units import is_line_comment

__all__ = [
    "FAMILIES",
    "PLACEHOLDERS",
    "PRESETS",
    "Additions",
    "Family",
    "Layout",
    "fill",
    "find_layout",
    "gather",
    "left_out",
    "turns_round",
]


@dataclass(frozen=True)
class Additions:
    """What an expansion adds to a region, unescaped: new `tags` by category, new sentences (`prose`) and a
    fresh caption (`generated`); the category of each of the user's own terms (general when not said); and
    which words of the layout's own are `banned`."""

    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prose: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()
    user_categories: Mapping[str, str] = field(default_factory=dict)
    banned: Callable[[str], object] = lambda word: False


def find_layout(text: str) -> Layout:
    """Returns the preset of that name, or the layout of that template.

    Raises ValueError for a text that is neither, and for a template with a wrong placeholder.
    """
    if text.strip() in PRESETS:
        return PRESETS[text.strip()]
    if not slots(parse(text)):
        raise ValueError(
            f"a layout must be one of {', '.join(PRESETS)}, or a template with placeholders such as "
            f"<|prompt|> and <|tags|>; got {text!r}"
        )
    return Layout("custom", "Your own template", text)


def left_out(region: Region, additions: Additions) -> tuple[str, ...]:
    """Returns the additions that `fill` leaves out, because hosts would read them as syntax."""
    tags = [tag for tags in additions.tags.values() for tag in tags]
    every = [*tags, *additions.prose, *additions.generated]
    return tuple(text for text in every if text.strip() and _safe(region, text) is None)


def turns_round(layout: Layout, region: Region, additions: Additions) -> bool:
    """Returns whether additions that the layout has after the region's text stand before it instead.

    That is so where the text leaves a bracket, a network or a comment open.
    """
    parts = parse(layout.template)
    if "prompt" not in slots(parts) or not split_ends(region.text, region.comments)[1]:
        return False
    values = _Added(layout, region, additions, slots(parts)).values()
    return _sides(parts, region, values).turned


def fill(layout: Layout, region: Region, additions: Additions) -> str:
    """Returns the region's text with its additions.

    With `<|prompt|>` in the template the region's text stays whole: taking the additions out again gives it
    back byte for byte. Raises ValueError for a wrong placeholder or an unknown category of added tags.
    """
    parts = parse(layout.template)
    unknown = set(additions.tags) - set(CATEGORIES)
    if unknown:
        raise ValueError(f"tags must be of the categories {', '.join(CATEGORIES)}; got {sorted(unknown)}")
    added = _Added(layout, region, additions, slots(parts))
    if "prompt" in slots(parts):
        return _around(parts, region, added.values())
    return _arranged(parts, region, added)


def gather(region: Region, additions: Additions, *, prose: bool) -> str:
    """Returns the region's tags, or its prose, each unit as it was written, and the additions of that kind.

    Networks, wildcards and whatever else says nothing a model may see stand among the tags; comments are
    left out. What follows a bracket that stays open comes last, so that additions have no part in it.
    """
    own = [unit for unit in region.units if unit.prose == prose and not _is_comment(unit, region.comments)]
    opens = (i for i, unit in enumerate(own) if not takes_more(unit.text, region.comments))
    first = next(opens, len(own))
    tags = [tag for tags in additions.tags.values() for tag in tags]
    added = (*additions.prose, *additions.generated) if prose else tags
    safe = filter(None, (_safe(region, text) for text in added))
    texts = [*(unit.text for unit in own[:first]), *safe, *(unit.text for unit in own[first:])]
    return _sentences(texts) if prose else ", ".join(texts)


def _safe(region: Region, text: str) -> str | None:
    safe = escape(" ".join(text.split()))
    return None if safe is None or any(c in safe for c in region.forbidden) else safe


class _Added:
    """The safe additions of one region, by placeholder."""

    def __init__(self, layout: Layout, region: Region, additions: Additions, names: frozenset[str]):
        self.names, self.categories = names, additions.user_categories
        present = {canonical(term) for term in region.tags}
        self.tags: dict[str, list[str]] = {name: [] for name in CATEGORIES}
        for category, tags in additions.tags.items():
            if category == "rating":
                spelled = {tag: layout.ratings.get(tag, tag) for tag in tags}
                tags = [word for tag, word in spelled.items() if word == tag or not additions.banned(word)]
            self.tags[category] = self._each(region, tags)
        for category, words in layout.words.items():
            new = [word for word in words if canonical(word) not in present]
            self.tags[category] = [word for word in new if not additions.banned(word)]
        self.order = [*additions.tags, *(name for name in CATEGORIES if name not in additions.tags)]
        self.prose = self._each(region, additions.prose)
        self.generated = self._each(region, additions.generated)
        if not self.prose and not any(unit.prose for unit in region.units) and "generated" not in names:
            self.prose = self.generated

    @staticmethod
    def _each(region: Region, texts: Sequence[str]) -> list[str]:
        return [safe for safe in (_safe(region, text) for text in texts) if safe]

    def others(self) -> list[str]:
        """Added tags of the categories that have no placeholder of their own."""
        return [tag for name in self.order if name not in self.names for tag in self.tags[name]]

    def values(self) -> dict[str, str]:
        """The additions alone, by placeholder."""
        values = {name: ", ".join(tags) for name, tags in self.tags.items()}
        prose = "extended" if "extended" in self.names else "prose"
        return values | {
            "tags": ", ".join(self.others()),
            prose: _sentences(self.prose),
            "generated": _sentences(self.generated),
        }


def _sentences(texts: Sequence[str]) -> str:
    """Sentences as one paragraph; one that does not end gets a full stop before the next."""
    result = ""
    for text in texts:
        result += (" " if ends_sentence(result) else ". ") + text if result else text
    return result


def _around(parts: Sequence[Part], region: Region, values: Mapping[str, str]) -> str:
    """The region's text with additions before and after it."""
    one_line = region.single_line
    first, gap, ended, wanted, last, wraps, _ = _sides(parts, region, values)
    lead, core, tail = split_ends(region.text, region.comments)
    filled = [value for value in values.values() if value]
    if not core:
        return _alone(lead, first, tail, one_line)
    if first:
        exact = not any(first.endswith(value) for value in filled)
        first += _gap_before(core, gap, one_line, ended=ended, exact=exact)
    if last:
        sentences = (values.get("prose", ""), values.get("extended", ""), values.get("generated", ""))
        begins = any(text and last.startswith(text) for text in sentences)
        last = _gap_after(region, lead + core, wanted, prose=begins, exact=wraps) + last
        last += "," if reads_as_weight(core + last) else ""
    before = " " if first and lead and not lead[-1].isspace() else ""
    after = " " if last and tail and not tail[0].isspace() else ""
    return lead + before + first + core + last + after + tail


class _Sides(NamedTuple):
    """What stands before a region's text, and what after it; the blanks that the template has there.

    `ended` says that what stands before ends as a sentence, `wraps` that words of the template stand right
    after the text, `turned` that what was to come after it comes before it.
    """

    first: str
    gap: str
    ended: bool
    wanted: str
    last: str
    wraps: bool
    turned: bool


def _sides(parts: Sequence[Part], region: Region, values: Mapping[str, str]) -> _Sides:
    at, one_line = parts.index(Part("prompt", slot=True)), region.single_line
    _, first, gap, ended = render(parts[:at], values, single_line=one_line)
    wanted, last, _, closed = render(parts[at + 1 :], values, single_line=one_line)
    _, core, _ = split_ends(region.text, region.comments)
    wraps = bool(last) and not any(last.startswith(value) for value in values.values() if value)
    if last and not wraps and (not core or not takes_more(core, region.comments)):
        both = _beside(first, last, one_line, ended=ended)
        return _Sides(both, gap if first else "", closed, wanted, "", wraps, True)
    return _Sides(first, gap, ended, wanted, last, wraps, False)


def _alone(lead: str, text: str, tail: str, one_line: bool) -> str:
    """Additions to a region that says nothing; a comment at its end keeps a line of its own."""
    if not text:
        return lead + tail
    text += "," if reads_as_weight(text) else ""
    before = " " if lead and not lead[-1].isspace() else ""
    after = "" if not tail or tail[0].isspace() else "\n" if tail[0] in "#/" and not one_line else " "
    return lead + before + text + after + tail


def _beside(first: str, last: str, one_line: bool, *, ended: bool) -> str:
    """Additions that were to stand before and after the text, both before it."""
    if not first or not last:
        return first + last
    return first + ((" " if one_line else "\n") if ended else ", ") + last


def _gap_before(core: str, wanted: str, one_line: bool, *, ended: bool, exact: bool) -> str:
    if exact and not wanted.strip():
        return wanted.replace("\n", " ") if one_line else wanted
    if core[0] in ",，、":
        return ""
    if "\n" in wanted and not one_line:
        return "\n" * min(2, wanted.count("\n"))
    return ((" " if one_line else "\n") if not wanted else " ") if ended else ", "


def _gap_after(region: Region, before: str, wanted: str, *, prose: bool, exact: bool) -> str:
    if exact:
        return wanted.replace("\n", " ") if region.single_line else wanted
    after_prose = any(unit.prose and unit.end == len(before) for unit in region.units)
    return joint(before, wanted, prose=prose, after_prose=after_prose, single_line=region.single_line)


def _arranged(parts: Sequence[Part], region: Region, added: _Added) -> str:
    """The user's units, sorted into the template's placeholders, with additions after them."""
    places, last, comments = _places(region, added)
    values = added.values()
    for name, units in places.items():
        texts = [*(unit.text for unit in units), *filter(None, [values.get(name)])]
        values[name] = _sentences(texts) if name in PROSE else ", ".join(texts)
    values["kept"] = _row(places["kept"])
    prose = PROSE | {"kept"} if places["kept"] and places["kept"][-1].prose else PROSE
    _, text, _, ended = render(_with_kept(parts), values, single_line=region.single_line, prose=prose)
    text = _row(last, text, ended=ended)
    text += "," if reads_as_weight(text) and not reads_as_weight(region.text) else ""
    if not region.text.strip():
        return text + region.text
    lead = region.text[: len(region.text) - len(region.text.lstrip())]
    tail = region.text[len(region.text.rstrip()) :]
    hidden = bool(comments) or hides_line(text, region.comments)
    text = (" " if region.single_line else "\n").join(filter(None, [text, *(unit.text for unit in comments)]))
    if hidden and not region.single_line and not tail.startswith(("\n", "\r\n")):
        tail = "\n" + tail
    return lead + text + tail


def _with_kept(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The template with `<|kept|>` in front when it has none; on a line of its own when prose begins it."""
    if Part("kept", slot=True) in parts:
        return tuple(parts)
    prose = parts[0] in [Part(name, slot=True) for name in ("extended", "prose", "generated")]
    return (Part("kept", slot=True), Part("\n" if prose else ", ", slot=False), *parts)


def _places(region: Region, added: _Added) -> tuple[dict[str, list[Unit]], list[Unit], list[Unit]]:
    """The user's units by placeholder; those that must come last; and the comments, after everything."""
    places: dict[str, list[Unit]] = {name: [] for name in PLACEHOLDERS}
    last: list[Unit] = []
    comments: list[Unit] = []
    for unit in region.units:
        if _is_comment(unit, region.comments):
            comments.append(unit)
        elif not takes_more(unit.text, region.comments):
            last.append(unit)
        else:
            places[_place(unit, added)].append(unit)
    return places, last, comments


def _place(unit: Unit, added: _Added) -> str:
    if unit.prose:
        wanted = ("extended", "prose")
    elif not unit.terms:
        wanted = ("kept",)
    else:
        found = (added.categories.get(term) or added.categories.get(canonical(term)) for term in unit.terms)
        wanted = (next((category for category in found if category), "general"), "tags", "general")
    return next((name for name in wanted if name in added.names), "kept")


def _is_comment(unit: Unit, comments: str) -> bool:
    return not unit.terms and all(is_line_comment(span) for span in lex(unit.text, comments=comments))


def _row(units: Iterable[Unit], text: str = "", *, ended: bool = False) -> str:
    """Units one after the other, after a text: commas between them, after a sentence of prose a blank."""
    for unit in units:
        text += ((" " if ended else ", ") if text else "") + unit.text
        ended = unit.prose and ends_sentence(unit.text)
    return text
