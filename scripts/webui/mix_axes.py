"""Axes for the host's X/Y/Z plot: each encoder and its weight, and when and where the mix holds.

Convention: as for `axes.py`; an axis means a mix, ticked or not.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ...models.options import Option
from . import mix_values
from .mix_values import NONE

OVERRIDES = "_presample_mix_overrides"
LOADING = 0.5  # what a host may spare by changing it seldom, as it says it of its own axes


def label(fact: Option) -> str:
    """Returns the label of an axis."""
    return f"[Presample] mix {mix_values.label(fact.name)}"


def axes(grid: Any) -> list:
    """Returns the axes, made of what the plot makes them of."""
    return [_axis(grid, fact) for fact in mix_values.facts().values() if fact.name != "enabled"]


def _axis(grid: Any, fact: Option) -> Any:
    cost = LOADING if fact.name.startswith("encoder_") else 0.0
    return grid.AxisOption(
        label(fact), fact.type, override(fact), confirm=confirm(fact), choices=_choices(fact), cost=cost
    )


def _choices(fact: Option) -> Callable[[], list[str]] | None:
    if fact.name.startswith("encoder_"):
        from .mix_panel import choices

        return choices
    return (lambda: list(fact.choices)) if fact.choices else None


def confirm(fact: Option) -> Callable[[Any, list], None]:
    """Returns what a plot asks before it begins: RuntimeError, as hosts raise it, for what cannot be."""

    def check(p: Any, asked: list) -> None:
        from .mix_files import find

        for value in asked:
            try:
                both = ("start", "end") if fact.name in ("start", "end") else (fact.name,)
                mix_values.from_names(dict.fromkeys(both, value))
                if fact.name.startswith("encoder_") and value != NONE:
                    find(value)
            except (ValueError, TypeError) as error:
                raise RuntimeError(f"{label(fact)}: {error}") from error

    return check


def override(fact: Option) -> Callable[[Any, Any, Sequence], None]:
    """Returns what an axis does to the `p` of a cell."""

    def apply(p: Any, value: Any, every: Sequence) -> None:
        setattr(p, OVERRIDES, {"enabled": True, **getattr(p, OVERRIDES, {}), fact.name: value})

    return apply
