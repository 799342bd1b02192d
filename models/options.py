"""Options stated once: a frozen dataclass is the source of widgets, flags, infotext keys and documentation.

A class of options is a frozen dataclass whose fields are made by `option(...)`. Adapters read it through
`describe(cls)`, the command line adds it with `add_flags`, and `validate` checks values from outside.
"""

import argparse
import dataclasses
import shlex
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_SEED = 2**64 - 1  # the largest that a torch.Generator takes
CUSTOM = "custom"  # what a list of presets ends in, for a text of one's own
TEMPLATE = "_template"  # what the name of the option for that text ends in


@dataclass(frozen=True)
class Option:
    """One option as every adapter needs it: name, type, default, bounds, choices and a sentence of help.

    `choices` are all there is; `presets` are values that have a name, beside any text of the user's own.
    `beside` options change neither what is made nor the way to it.
    """

    name: str
    type: type
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    advanced: bool = False
    multiline: bool = False
    aliases: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    beside: bool = False


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    choices: Iterable[str] = (),
    advanced: bool = False,
    multiline: bool = False,
    aliases: Iterable[str] = (),
    presets: Iterable[str] = (),
    beside: bool = False,
):
    """Returns a dataclass field that carries all that an adapter has to know about it."""
    facts = {
        "help": help,
        "low": low,
        "high": high,
        "step": step,
        "choices": tuple(choices),
        "advanced": advanced,
        "multiline": multiline,
        "aliases": tuple(aliases),
        "presets": tuple(presets),
        "beside": beside,
    }
    return field(default=default, metadata=facts)


def default(cls: type, name: str, value: Any):
    """Returns the option `name` of `cls` with another default, everything else as it is stated there.

    For a class that inherits it: `steps: int = default(FitOptions, "steps", 400)`.
    """
    facts = next(f.metadata for f in dataclasses.fields(cls) if f.name == name)
    return field(default=value, metadata=facts)


def describe(cls: type) -> tuple[Option, ...]:
    """Returns the options of a dataclass in their order, which is the order of widgets and never changes."""
    types = typing.get_type_hints(cls)
    return tuple(
        Option(f.name, _plain(types[f.name]), f.default, **f.metadata) for f in dataclasses.fields(cls)
    )


def template_of(fact: Option) -> Option:
    """Returns the option that widgets have beside one of presets: the text of one's own."""
    help = f"The template for the {fact.name}, where that is {CUSTOM}."
    return Option(fact.name + TEMPLATE, str, "", help, multiline=True)


def _plain(annotation: Any) -> type:
    """`tuple[str, ...]` is asked for as text, one item a line; `int | None` as an int."""
    origin = typing.get_origin(annotation)
    if origin is tuple:
        return tuple
    if origin in (typing.Union, types.UnionType):
        return next(t for t in typing.get_args(annotation) if t is not type(None))
    return annotation


def validate(options: Any) -> None:
    """Raises ValueError or TypeError, naming the option, for a value of a wrong type or out of bounds."""
    for fact in describe(type(options)):
        value = getattr(options, fact.name)
        if value is None and fact.default is None:
            continue
        wanted = (int, float) if fact.type is float else fact.type
        if not isinstance(value, wanted) or (isinstance(value, bool) and fact.type is not bool):
            raise TypeError(f"{fact.name} must be {fact.type.__name__}, got {type(value).__name__} {value!r}")
        if fact.choices and value not in fact.choices:
            raise ValueError(f"{fact.name} must be one of {', '.join(fact.choices)}; got {value!r}")
        if fact.low is not None and not fact.low <= value <= fact.high:
            raise ValueError(f"{fact.name} must lie in {fact.low} to {fact.high}, got {value!r}")


def add_flags(parser: argparse.ArgumentParser, cls: type, *, leave_out: Collection[str] = ()) -> None:
    """Adds a `--flag` for every option of `cls` but those to leave out; a tuple takes its flag many times."""
    for fact in describe(cls):
        if fact.name in leave_out:
            continue
        flag = "--" + fact.name.replace("_", "-")
        text = fact.help.replace("%", "%%")
        text += f" Presets: {', '.join(fact.presets)}." if fact.presets else ""
        bounds = f" ({fact.low:g} to {fact.high:g})" if fact.low is not None and fact.high < 2**31 else ""
        shown = "" if fact.default in (None, "", ()) else f" [{fact.default}]"
        help = text + bounds + shown
        if fact.type is bool:
            switch = parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=fact.default)
            switch.help = (
                f"{text} [{'on' if fact.default else 'off'}]"  # older Pythons add the default to help=
            )
        elif fact.type is tuple:
            parser.add_argument(flag, action="append", default=None, metavar="TEXT", help=help)
        else:
            parser.add_argument(
                flag, type=fact.type, default=fact.default, choices=fact.choices or None, help=help
            )


def from_flags(arguments: argparse.Namespace, cls: type, *, leave_out: Collection[str] = ()) -> Any:
    """Returns the options that a command line named, checked; those that were left out have their default."""
    facts = [fact for fact in describe(cls) if fact.name not in leave_out]
    given = {fact.name: getattr(arguments, fact.name) for fact in facts}
    for fact in facts:
        if fact.type is tuple:
            given[fact.name] = tuple(given[fact.name] or ())
    options = cls(**given)
    validate(options)
    return options


def flags(given: Mapping[str, Any], cls: type, *, usual: Mapping[str, Any] | None = None) -> str:
    """Returns the flags that `add_flags` would read the given values of `cls` from, as a shell takes them.

    Values that are the default, or in `usual` where that names another, are left out; so are options that are
    not given. The text begins with a space, or is empty.
    """
    words: list[str] = []
    for fact in describe(cls):
        value = given.get(fact.name, fact.default)
        plain = (usual or {}).get(fact.name, fact.default)
        if (tuple(value or ()) == tuple(plain or ())) if fact.type is tuple else value == plain:
            continue
        flag = fact.name.replace("_", "-")
        if fact.type is bool:
            words.append(f"--{flag}" if value else f"--no-{flag}")
            continue
        for each in value if fact.type is tuple else (value,):
            words += [f"--{flag}", shlex.quote(f"{each:g}" if fact.type is float else str(each))]
    return "".join(f" {word}" for word in words)
