"""What is said of ColourShapes: tags and sentences that name any of the four attributes.

Convention: `named` (b, 4) is True for the attributes that a caption names, in the order of ATTRIBUTES. Words
are embedded by a fixed table, so a text needs no encoder; the model's own first layers learn to read it.
Source: spec 5.1.

b batch  m words  d width of a word
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ..seeds import generator_for
from .shapes import ATTRIBUTES, Scenes

SEED = 7
LONGEST = 12  # words of a sentence
_LITTLE = ("a", "at", "the", "on", "ground", "shape", "solid", "white")


def tags(attributes: Sequence[int], named: Sequence[bool]) -> list[str]:
    """Returns the tags of a picture: shape, colour, ground and corner, as far as they are named."""
    words = [values[i] for values, i in zip(ATTRIBUTES.values(), attributes, strict=True)]
    words[2] = f"{words[2]} ground"
    return [word for word, said in zip(words, named, strict=True) if said]


def sentence(attributes: Sequence[int], named: Sequence[bool]) -> str:
    """Returns a sentence such as `a red circle at the top left on a dark ground`."""
    shape, colour, ground, corner = (
        values[i] if said else ""
        for values, i, said in zip(ATTRIBUTES.values(), attributes, named, strict=True)
    )
    parts = ["a", colour, shape or "shape", corner and f"at the {corner}", ground and f"on a {ground} ground"]
    return " ".join(filter(None, parts))


def captions(scenes: Scenes | Tensor, named: Tensor, generator: torch.Generator | None = None) -> list[str]:
    """Returns a caption for each scene or row of attributes (b, 4): tags, with a generator half sentences."""
    attributes = scenes if isinstance(scenes, Tensor) else scenes.attributes()
    rows = zip(attributes.tolist(), named.tolist(), strict=True)
    if generator is None:
        return [", ".join(tags(*row)) for row in rows]
    spoken = torch.rand(len(named), generator=generator) < 0.5
    return [sentence(*row) if said else ", ".join(tags(*row)) for row, said in zip(rows, spoken, strict=True)]


def random_names(count: int, generator: torch.Generator, *, whole: float = 0.3) -> Tensor:
    """Returns which attributes (count, 4) captions name: all for a share `whole`, else each at chance 1/2."""
    some = torch.rand(count, len(ATTRIBUTES), generator=generator) < 0.5
    return some | (torch.rand(count, 1, generator=generator) < whole)


def vocabulary() -> tuple[str, ...]:
    """Returns every word of a caption."""
    words = [word for values in ATTRIBUTES.values() for value in values for word in value.split()]
    return tuple(dict.fromkeys([*_LITTLE, *words]))


def embed(texts: Sequence[str], width: int) -> tuple[Tensor, Tensor]:
    """Returns the words (b, m, d) of captions and the mask (b, m), True where there is one.

    Raises ValueError for a word that is not in the vocabulary.
    """
    places = {word: i for i, word in enumerate(vocabulary())}
    rows = [re.findall(r"[a-z]+", text) for text in texts]
    unknown = {word for row in rows for word in row} - set(places)
    if unknown:
        raise ValueError(f"captions must be of the vocabulary, got {', '.join(sorted(unknown))}")
    longest = max(map(len, rows), default=0)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor([places[word] for word in row], dtype=torch.long)
        mask[i, : len(row)] = True
    table = torch.randn(len(places), width, generator=generator_for(SEED))
    return table[ids] * mask[..., None], mask
