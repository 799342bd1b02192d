"""What the panel says: options of expansion and a few of the WebUI's own, from arguments in their order.

Convention: hosts hand a script its arguments by their place, so names are only ever appended to `names()`.
An API client may give a dictionary instead, in the place of the first argument.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...models.options import CUSTOM, TEMPLATE, Option, describe, option, template_of, validate
from ...models.tipo.chips import NOTHING, Keep, read_decisions, write_decisions
from ...models.tipo.choices import model_name
from ...models.tipo.infotext import Record
from ...models.tipo.jobs import Seeding
from ...models.tipo.options import ExpandOptions

RANDOM = -1
LARGEST_EXACT = 2**53 - 1  # what a number field of a page holds exactly
LAYOUT_TEMPLATE = f"layout{TEMPLATE}"
CHIPS = "chips"
# The image says these itself, and the panel has its own seed.
NOT_HERE = ("seed", "width", "height")


@dataclass(frozen=True)
class PanelOptions:
    """What only a WebUI can be told. The order of the fields is the order of arguments."""

    enabled: bool = option(False, "Expand the prompts of every image.")
    prose: str = option(
        "", "Natural language, where you want to write it apart from the tags.", multiline=True
    )
    seed: int = option(
        RANDOM, "Seed of the expansion; -1 draws another for every job.", low=RANDOM, high=LARGEST_EXACT
    )
    seed_from: str = option(
        "own",
        "own: the seed above; image: each expansion has the seed of its image.",
        choices=("own", "image"),
    )
    batch: str = option(
        "each", "each: one expansion for each image; same: one for the whole batch.", choices=("each", "same")
    )
    timing: str = option(
        "after",
        "after: wildcards and styles first, then expansion; before: the other way round, once a job.",
        choices=("after", "before"),
    )


@dataclass(frozen=True)
class Values:
    """What the panel says, checked."""

    panel: PanelOptions = field(default_factory=PanelOptions)
    options: ExpandOptions = field(default_factory=ExpandOptions)
    keep: Keep = ()
    drop: tuple[str, ...] = ()

    def extras(self) -> dict[str, str]:
        """Returns what an infotext needs beside the options, where it is not the default."""
        names = ("seed_from", "batch", "timing")
        said = {name: getattr(self.panel, name) for name in names}
        said = {name: value for name, value in said.items() if value != getattr(PanelOptions(), name)}
        decided = write_decisions(self.keep, self.drop)
        return said | ({CHIPS: decided} if decided else {})


def facts() -> dict[str, Option]:
    """Returns every option of the panel by the name of its argument, in the order of arguments."""
    found = {fact.name: fact for fact in describe(PanelOptions)}
    for fact in describe(ExpandOptions):
        if fact.name in NOT_HERE:
            continue
        found[fact.name] = fact
        if fact.presets:
            found[fact.name] = replace(fact, choices=(*fact.presets, CUSTOM))
            found[template_of(fact).name] = template_of(fact)
    help = 'What was decided about tags, such as {"keep": ["night"], "ban": ["boat"]}.'
    found[CHIPS] = Option(CHIPS, str, NOTHING, help)
    return found


def names() -> tuple[str, ...]:
    """Returns the names of the script's arguments in their order."""
    return tuple(facts())


def from_args(args: Sequence[Any], overrides: Mapping[str, Any] | None = None) -> Values:
    """Returns what the arguments say, `overrides` in the place of some; missing ones have their defaults.

    Raises ValueError or TypeError, naming the option, for a value that is not allowed and an unknown name.
    """
    return from_names(named(facts(), args, overrides))


def named(
    known: Mapping[str, Option], args: Sequence[Any], overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns arguments by their names, those that are missing left out; a dictionary has some by name.

    Raises ValueError for a name that is not `known`.
    """
    given = {}
    for name, value in zip(known, args, strict=False):
        if not isinstance(value, Mapping):
            given[name] = value
    for value in args:  # behind a dictionary stand the defaults of the arguments that it takes the place of
        given |= value if isinstance(value, Mapping) else {}
    given |= overrides or {}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"arguments must be named {', '.join(known)}; got {', '.join(map(str, unknown))}")
    return {name: _typed(known[name], value) for name, value in given.items()}


def from_names(given: Mapping[str, Any]) -> Values:
    """Returns what named values say; raises as `from_args` does."""
    mine = {fact.name for fact in describe(PanelOptions)}
    panel = PanelOptions(**{name: value for name, value in given.items() if name in mine})
    rest = {name: value for name, value in given.items() if name not in mine}
    template, chips = rest.pop(LAYOUT_TEMPLATE, ""), rest.pop(CHIPS, NOTHING)
    keep, drop = read_decisions(chips if isinstance(chips, str) else json.dumps(chips))
    if rest.get("layout") == CUSTOM:
        rest["layout"] = template
    if "model" in rest:
        rest["model"] = model_name(rest["model"])
    options = ExpandOptions(**rest)
    validate(panel)
    validate(options)
    return Values(panel, options, keep, drop)


def _typed(fact: Option, value: Any) -> Any:
    """Returns a widget's value as its option has it: sliders give 80.0 for 80, an emptied field nothing."""
    if value is None:
        return fact.default
    if fact.type is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def widget_values(record: Record, image: int | None = None) -> dict[str, Any]:
    """Returns the widgets' values that an infotext states, by name.

    What it does not state was the default; only the model stays, and the template where it is not used. A
    text that has not the seed of its `image` is made again by its own seed alone.
    """
    known = facts()
    alone = ("enabled", "model", LAYOUT_TEMPLATE)
    found = {name: fact.default for name, fact in known.items() if name not in alone}
    found |= {name: value for name, value in record.options.items() if name not in ("width", "height")}
    if record.prose is not None:
        found["prose"] = record.prose
    for name, value in record.extras.items():
        if name in known and (value in known[name].choices or (name == CHIPS and _readable(value))):
            found[name] = value
    if found["layout"] not in known["layout"].choices:
        found |= {"layout": CUSTOM, LAYOUT_TEMPLATE: found["layout"]}
    if found["seed_from"] == "image" and image is not None:
        (same,) = Seeding(linked=True).seeds([image])
        found["seed_from"] = "image" if found["seed"] == same else "own"
    return found


def image_seed(pairs: Mapping[str, Any]) -> int | None:
    """Returns the seed of the picture that an infotext is of, as expansions take it; None if it says none."""
    try:
        return int(pairs["Seed"]) + (
            int(pairs["Variation seed"]) if "Variation seed strength" in pairs else 0
        )
    except (KeyError, TypeError, ValueError):
        return None


def _readable(decisions: str) -> bool:
    try:
        read_decisions(decisions)
    except ValueError:
        return False
    return True
