"""Tag chips: what a page shows of an expansion, and what its user decided about the tags.

Convention: decisions are a JSON text, `{"keep": ["night", [1, "lake"]], "ban": ["boat"]}`; a kept tag may
stand with the number of its region, and a banned one holds in all of them.
"""

import json
import re
from collections.abc import Container, Sequence
from typing import Any

from ..prompt.layout import find_layout
from .expansion import Expansion, Progress, RegionExpansion

NOTHING = "{}"  # decided

Keep = tuple[str | tuple[int, str], ...]

_WORDS = re.compile(r"\w+|[^\w\s]")


def read_decisions(text: str) -> tuple[Keep, tuple[str, ...]]:
    """Returns what is to be kept and what is to be dropped, as `Request` takes them.

    Raises ValueError where the text is not the JSON of an object with lists of tags.
    """
    wanted = 'chips must be like {"keep": ["night", [1, "lake"]], "ban": ["boat"]}'
    try:
        value = json.loads(text or NOTHING)
        lists = [value.get(name, []) for name in ("keep", "ban")]
        if not all(isinstance(each, list) for each in lists):
            raise TypeError("a text is no list of tags")
        keep, drop = tuple(map(_kept, lists[0])), tuple(lists[1])
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{wanted}; got {text[:80]!r}") from error
    if not all(isinstance(tag, str) for tag in drop):
        raise ValueError(f"{wanted}; got {text[:80]!r}")
    return keep, drop


def _kept(item: Any) -> str | tuple[int, str]:
    if isinstance(item, str):
        return item
    region, tag = item
    if not (isinstance(region, int) and isinstance(tag, str)):
        raise TypeError("a kept tag is a text, or the number of a region and a text")
    return region, tag


def write_decisions(keep: Keep, drop: Sequence[str]) -> str:
    """Returns the text that `read_decisions` reads; nothing where nothing was decided."""
    if not keep and not drop:
        return ""
    return json.dumps({"keep": list(keep), "ban": list(drop)}, ensure_ascii=False)


def payload(expansion: Expansion, *, stored: bool = False) -> dict[str, Any]:
    """Returns what a page shows of an expansion; of a `stored` prompt all additions stand in it."""
    absent = () if stored else _absent(expansion)
    regions = expansion.regions
    return {
        "seed": str(expansion.seed),  # JavaScript's numbers end at 2**53
        "prompt": expansion.prompt,
        "user_prompt": expansion.user_prompt,
        "chips": [chip for number, region in enumerate(regions) for chip in _chips(number, region, absent)],
        "prose": [part for region in regions for part in _prose(region, absent)],
        "notes": list(expansion.notes),
        "refusals": [{"text": refusal.text, "reason": refusal.reason} for refusal in expansion.refusals],
        "seconds": expansion.seconds,
        "tokens": sum(step.tokens for step in expansion.passes),
    }


def _absent(expansion: Expansion) -> set[str]:
    """Returns the additions that the prompt has not, such as all tags where a layout is all prose.

    What stands in the user's prompt too, in the same layout, is not an addition. Longer ones are found
    first, so that the sky of a night sky is not taken for a sky.
    """
    ratings = find_layout(expansion.request.options.layout).ratings
    added = {sentence: sentence for region in expansion.regions for sentence in region.added_prose}
    for region in expansion.regions:
        for category, tags in region.added_tags.items():
            added |= {tag: ratings.get(tag, tag) if category == "rating" else tag for tag in tags}
    rest, plain, absent = _parted(expansion.prompt), _parted(expansion.user_prompt), set()
    for addition, spelled in sorted(added.items(), key=lambda pair: -len(pair[1])):
        words = _parted(spelled)
        new = rest.count(words) - plain.count(words)
        if new > 0:
            rest = rest.replace(words, " \n ", new)
        else:
            absent.add(addition)
    return absent


def _parted(text: str) -> str:
    """Returns the words and signs of a text with one blank around each, without the escapes of brackets."""
    return f" {' '.join(_WORDS.findall(text.replace(chr(92), '')))} "


def _chips(number: int, region: RegionExpansion, absent: Container[str]) -> list[dict[str, Any]]:
    groups = ((region.user_tags, True, ()), (region.added_tags, False, absent))
    return [
        {"text": tag, "category": category, "own": own, "region": number, **_place(tag, left_out)}
        for tags, own, left_out in groups
        for category, terms in tags.items()
        for tag in terms
    ]


def _prose(region: RegionExpansion, absent: Container[str]) -> list[dict[str, Any]]:
    own = [{"text": region.user_prose, "own": True}] if region.user_prose else []
    return [*own, *({"text": text, "own": False, **_place(text, absent)} for text in region.added_prose)]


def _place(text: str, absent: Container[str]) -> dict[str, bool]:
    """Returns what is said of an addition that is not in the prompt; of others that goes without saying."""
    return {"in_prompt": False} if text in absent else {}


def progress_payload(progress: Progress) -> dict[str, Any]:
    """Returns what a page shows of an expansion that is being written."""
    said = ("variation", "region", "writes", "text", "settled", "fraction")
    return {name: getattr(progress, name) for name in said}
