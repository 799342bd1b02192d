"""Tag chips: what a page shows of an expansion, and what its user decided about the tags.

Convention: decisions are a JSON text, `{"keep": ["night", [1, "lake"]], "ban": ["boat"]}`; a kept tag may
stand with the number of its region, and a banned one holds in all of them.
"""

import json
from collections.abc import Sequence
from typing import Any

from .expansion import Expansion, Progress, RegionExpansion

NOTHING = "{}"  # decided

Keep = tuple[str | tuple[int, str], ...]


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


def payload(expansion: Expansion) -> dict[str, Any]:
    """Returns what a page shows of an expansion."""
    return {
        "seed": str(expansion.seed),  # JavaScript's numbers end at 2**53
        "prompt": expansion.prompt,
        "user_prompt": expansion.user_prompt,
        "chips": [chip for number, region in enumerate(expansion.regions) for chip in _chips(number, region)],
        "prose": [part for region in expansion.regions for part in _prose(region)],
        "notes": list(expansion.notes),
        "refusals": [{"text": refusal.text, "reason": refusal.reason} for refusal in expansion.refusals],
        "seconds": expansion.seconds,
        "tokens": sum(step.tokens for step in expansion.passes),
    }


def _chips(number: int, region: RegionExpansion) -> list[dict[str, Any]]:
    groups = ((region.user_tags, True), (region.added_tags, False))
    return [
        {"text": tag, "category": category, "own": own, "region": number}
        for tags, own in groups
        for category, terms in tags.items()
        for tag in terms
    ]


def _prose(region: RegionExpansion) -> list[dict[str, Any]]:
    own = [{"text": region.user_prose, "own": True}] if region.user_prose else []
    return [*own, *({"text": sentence, "own": False} for sentence in region.added_prose)]


def progress_payload(progress: Progress) -> dict[str, Any]:
    """Returns what a page shows of an expansion that is being written."""
    said = ("variation", "writes", "text", "settled", "fraction")
    return {name: getattr(progress, name) for name in said}
