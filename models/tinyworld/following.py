"""How well pictures show what prompts of the little world demand: accuracy of attributes, as GenEval's.

Convention: what a prompt demands maps attributes to the values that do; a reading maps them to what is seen.
Source: Ghosh et al. 2023, "GenEval"; spec 5.3 (caption accuracy).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from .oracle import visible
from .prompts import demands

Wanted = Mapping[str, frozenset[str]]
Followed = Mapping[str, tuple[int, int]]  # for each attribute, demands that are met and all of them


def visible_demands(tags: Sequence[str]) -> Wanted:
    """Returns what tags demand of attributes that can be read off a picture, its shape left out."""
    read_off = set(visible()) - {"aspect", "quality"}  # asked of the canvas; said in words of their own
    return {name: values for name, values in demands(tags).items() if name in read_off}


def followed(readings: Sequence[Mapping[str, str]], wanted: Sequence[Wanted]) -> Followed:
    """Returns for each attribute how often it has a demanded value, and how often one is demanded."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for reading, demanded in zip(readings, wanted, strict=True):
        for name, values in demanded.items():
            right, count = found[name]
            found[name] = right + (reading[name] in values), count + 1
    return dict(sorted(found.items()))


def share(found: Followed) -> float:
    """Returns the share of all demands that are met."""
    return sum(right for right, _ in found.values()) / max(1, sum(count for _, count in found.values()))
