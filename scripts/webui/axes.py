"""Axes for the host's X/Y/Z plot: a cell has what its label says, or the plot does not begin.

Convention: an axis writes into `p` what is to stand in the place of the panel; a cell's `p` is a shallow copy
of the others', so what is written is always new. An axis of an option means expansion, ticked or not.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from ...models.options import CUSTOM, Option
from . import mix_axes, values
from .job import OVERRIDES

AXES = ("enabled", "seed", "temperature", "tag_length", "prose_length", "model", "layout", "top_p", "min_p")
GRIDS = ("xyz_grid.py", "scripts.xyz_grid")


def add_axes() -> None:
    """Adds our axes to the X/Y/Z plot, where there is one."""
    import modules.scripts as scripts

    for found in scripts.scripts_data:
        if getattr(found.script_class, "__module__", "") not in GRIDS:
            continue
        grid, facts = found.module, values.facts()
        there = {axis.label for axis in grid.axis_options}
        ours = [*(_axis(grid, facts[name]) for name in AXES), *mix_axes.axes(grid)]
        grid.axis_options += [axis for axis in ours if axis.label not in there]
        return


def label(fact: Option) -> str:
    """Returns the label of an axis."""
    return f"[Presample] {fact.name.replace('_', ' ')}"


def _axis(grid: Any, fact: Option) -> Any:
    kind = str if fact.type is bool else fact.type
    cost = mix_axes.LOADING if fact.name == "model" else 0.0
    return grid.AxisOption(
        label(fact), kind, override(fact), confirm=confirm(fact), choices=_choices(fact), cost=cost
    )


def _choices(fact: Option) -> Callable[[], list[str]] | None:
    if fact.type is bool:
        return lambda: ["True", "False"]
    if fact.name == "model":
        from .keeper import labels

        return labels
    named = [choice for choice in fact.choices if choice != CUSTOM]
    return (lambda: list(named)) if named else None


def confirm(fact: Option) -> Callable[[Any, list], None]:
    """Returns what a plot asks before it begins, with all values of an axis.

    A seed of -1 is drawn here, so that its label is that of the expansion. Raises RuntimeError, as hosts do,
    for a value that cannot be.
    """

    def check(p: Any, asked: list) -> None:
        from ...models.prompt.layout import find_layout

        for place, value in enumerate(asked):
            try:
                options = values.from_names(_meant(fact, value)).options
                find_layout(options.layout)
            except (ValueError, TypeError) as error:
                raise RuntimeError(f"{label(fact)}: {error}") from error
            if fact.name == "seed" and value == values.RANDOM:
                asked[place] = secrets.randbits(32)
        if fact.name == "model":
            _find_models(asked)

    return check


def _find_models(asked: Sequence[str]) -> None:
    from ...models.hub import ModelNotFound
    from ...models.tipo.choices import model_name
    from .keeper import find

    for name in asked:
        try:
            find(model_name(name))
        except ModelNotFound as error:
            raise RuntimeError(str(error)) from error


def override(fact: Option) -> Callable[[Any, Any, Sequence], None]:
    """Returns what an axis does to the `p` of a cell."""

    def apply(p: Any, value: Any, every: Sequence) -> None:
        there = getattr(p, OVERRIDES, {})
        setattr(p, OVERRIDES, {"enabled": True, **there, **_meant(fact, value)})

    return apply


def _meant(fact: Option, value: Any) -> dict[str, Any]:
    """Returns what a value of an axis stands for, by the names of arguments."""
    if fact.type is bool:
        if str(value).strip().lower() not in ("true", "false"):
            return {fact.name: value}
        return {fact.name: str(value).strip().lower() == "true"}
    # Where expansions have the seeds of images, another seed would change nothing but the label.
    return {fact.name: value} | ({"seed_from": "own"} if fact.name == "seed" else {})
