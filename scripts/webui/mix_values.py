"""What the panel of Encoder Mix says, from arguments in their order, and the same in an infotext.

Convention: hosts hand a script its arguments by their place, so new ones are only ever appended. Keys of an
infotext are `Encoder mix` and names behind it; a picture without them says nothing of a mix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...models.options import Option, describe, option, validate
from ...models.textcraftor.options import WEIGHT, MixOptions
from ...models.tipo.infotext import decode, encode
from .values import named

NONE = "none"
SLOTS = 4
KEY = "Encoder mix"
FORMAT = "TextCraftor 1"  # the value of KEY, and the version of these keys


def _encoder() -> Any:
    return option(NONE, "A tuned text encoder from the folder of text encoders.")


def _weight() -> Any:
    return option(1.0, "How much of this encoder, beside the others.", **WEIGHT)


@dataclass(frozen=True)
class Slots:
    """What only a WebUI is told. The order of the fields is the order of arguments."""

    enabled: bool = option(False, "Mix tuned text encoders into the model's own.")
    encoder_1: str = _encoder()
    weight_1: float = _weight()
    encoder_2: str = _encoder()
    weight_2: float = _weight()
    encoder_3: str = _encoder()
    weight_3: float = _weight()
    encoder_4: str = _encoder()
    weight_4: float = _weight()

    @property
    def chosen(self) -> tuple[tuple[str, float], ...]:
        """The encoders that are chosen, with their weights."""
        slots = ((getattr(self, f"encoder_{k}"), getattr(self, f"weight_{k}")) for k in range(1, SLOTS + 1))
        return tuple((name, float(weight)) for name, weight in slots if name != NONE)


@dataclass(frozen=True)
class MixValues:
    """What the panel says, checked."""

    slots: Slots = field(default_factory=Slots)
    options: MixOptions = field(default_factory=MixOptions)

    def said(self, name: str) -> Any:
        """Returns an argument by its name."""
        return getattr(self.slots if hasattr(self.slots, name) else self.options, name)


def facts() -> dict[str, Option]:
    """Returns every argument by its name, in the order of arguments."""
    return {fact.name: fact for part in (Slots, MixOptions) for fact in describe(part)}


def from_args(args: Sequence[Any], overrides: Mapping[str, Any] | None = None) -> MixValues:
    """Returns what the arguments say; raises as `values.named` does, and for values that are not allowed."""
    return from_names(named(facts(), args, overrides))


def from_names(given: Mapping[str, Any]) -> MixValues:
    """Returns what named arguments say; raises ValueError or TypeError for a value that is not allowed."""
    mine = {fact.name for fact in describe(Slots)}
    slots = Slots(**{name: value for name, value in given.items() if name in mine})
    options = replace(MixOptions(), **{name: value for name, value in given.items() if name not in mine})
    validate(slots)
    validate(options)
    return MixValues(slots, options)


def label(name: str) -> str:
    """Returns the name of an argument as panels, infotexts and axes show it."""
    return name.replace("_", " ")


def key(name: str) -> str:
    """Returns the key of an infotext for an argument."""
    return f"{KEY} {label(name.removeprefix('encoder_'))}"


def is_ours(name: str) -> bool:
    """Returns whether a key of an infotext is one of those that are written here."""
    return name == KEY or name.startswith(f"{KEY} ")


def write(values: MixValues) -> dict[str, str]:
    """Returns the pairs of an infotext: the encoders that are mixed, how, and what is not at its default."""
    pairs = {KEY: FORMAT}
    for fact in facts().values():
        value, weight = values.said(fact.name), fact.name.startswith("weight_")
        if fact.name == "enabled" or (weight and values.said(f"encoder_{fact.name[-1]}") == NONE):
            continue
        if value != fact.default or weight or fact.name in ("w", "start"):
            pairs[key(fact.name)] = encode(value) if fact.type is str else str(value)
    return pairs


def read(pairs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the arguments that an infotext states; what it leaves out was the default.

    None where it says nothing of a mix. It may come from anyone: what is not allowed is the default.
    """
    if KEY not in pairs:
        return None
    found: dict[str, Any] = {}
    for name, fact in facts().items():
        text = pairs.get(key(name))
        value = fact.default if text is None else _typed(fact, str(text))
        try:
            from_names({"start": 0.0, name: value})
        except (ValueError, TypeError):
            value = fact.default
        found[name] = value
    if found["start"] > found["end"]:
        found |= {name: facts()[name].default for name in ("start", "end")}
    return found | {"enabled": True}


def _typed(fact: Option, text: str) -> Any:
    if fact.type is str:
        return decode(text)
    try:
        return fact.type(text)
    except ValueError:
        return None
