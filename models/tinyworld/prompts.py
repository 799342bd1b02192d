"""What one may write for a scene: tag lists, sentences, both; and what tags demand of a picture."""

from collections.abc import Collection
from dataclasses import dataclass

import torch

from .scene import Scene, world
from .tags import Clause, mention, rules
from .text import long_caption, short_caption

# How often a prompt is a list of tags alone, tags with one or both captions below, or a caption alone.
FORMS = {"tags": 0.4, "tags, short": 0.2, "tags, long": 0.15, "short": 0.15, "long": 0.1}
LEADING = 0.35  # lists whose quality and aspect come first, of those that state them
SAID = {"quality": 0.6, "meta": 0.3, "rating": 0.15}  # how often a list states what is no matter of content


@dataclass(frozen=True)
class Prompt:
    """A text that is true of a scene, and the tags in it."""

    text: str
    tags: tuple[str, ...] = ()


def prompt_of(scene: Scene, generator: torch.Generator) -> Prompt:
    """Returns one of the many prompts for a scene; the generator decides form, order and wording."""
    form = _draw(FORMS, generator)
    tags = _tags(scene, generator) if form.startswith("tags") else ()
    if form.startswith("tags") and not tags:
        form = "short"
    lines = [", ".join(tags)] if tags else []
    if form.endswith("short"):
        lines.append(short_caption(scene, generator))
    elif form.endswith("long"):
        lines.append(long_caption(scene, generator))
    return Prompt("\n".join(lines), tags)


def demands(tags: Collection[str]) -> dict[str, frozenset[str]]:
    """Returns what tags say of single attributes: for each the values that it may have.

    A tag that holds for one reason or another (`cold`: winter, or snow) demands nothing. Words that are no
    tags of this world are left out, and so is an attribute of which contradicting tags leave nothing.
    """
    found: dict[str, frozenset[str]] = {}
    for tag in tags:
        for name, values in _demanded(rules().get(tag, ())).items():
            found[name] = found.get(name, values) & values
    return {name: values for name, values in found.items() if values}


def _demanded(alternatives: tuple[tuple[Clause, ...], ...]) -> dict[str, frozenset[str]]:
    if len(alternatives) == 1:
        return {clause.attribute: _allowed(clause) for clause in alternatives[0]}
    names = {clause.attribute for rule in alternatives for clause in rule}
    if len(names) == 1 and all(len(rule) == 1 for rule in alternatives):
        return {names.pop(): frozenset().union(*(_allowed(rule[0]) for rule in alternatives))}
    return {}


def _allowed(clause: Clause) -> frozenset[str]:
    values = frozenset(clause.values)
    return frozenset(world().nodes[clause.attribute].values) - values if clause.negated else values


def _tags(scene: Scene, generator: torch.Generator) -> tuple[str, ...]:
    """The tags of a record in any order, those about the picture itself before or after the others."""
    _, found = mention(scene, generator)
    content = [*found.get("special", ()), *found["general"]]
    order = torch.randperm(len(content), generator=generator).tolist()
    about = [
        tag
        for category, chance in SAID.items()
        if _chance(generator) < chance
        for tag in found.get(category, ())
    ]
    content = [content[k] for k in order]
    return tuple(about + content if _chance(generator) < LEADING else content + about)


def _draw(shares: dict[str, float], generator: torch.Generator) -> str:
    weights = torch.tensor(list(shares.values()), dtype=torch.float64)
    return list(shares)[int(torch.multinomial(weights, 1, generator=generator))]


def _chance(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))
