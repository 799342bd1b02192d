"""Between ComfyUI and `models/`: options become inputs, inputs become requests.

Convention: an option that is a preset or a text of one's own is two widgets, a list that ends in CUSTOM and
`template_of` it. LATENT samples are (b, c, h, w) or (b, c, t, h, w), in cells of so many pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from comfy_api.latest import io

from ..models.options import CUSTOM, Option, describe, template_of
from ..models.tipo.chips import read_decisions
from ..models.tipo.expansion import Request
from ..models.tipo.options import ExpandOptions
from .compat import widget

PIXELS_PER_CELL = 8


def option_inputs(facts: Sequence[Option]) -> list[Any]:
    """Returns the widgets for options, in their order."""
    return [made for fact in facts for made in _widgets(fact)]


def _widgets(fact: Option) -> list[Any]:
    shared = {
        "optional": True,
        "tooltip": fact.help,
        "advanced": fact.advanced or None,
        "default": fact.default,
    }
    if fact.presets:
        listed = widget(io.Combo.Input, fact.name, **shared, options=[*fact.presets, CUSTOM])
        return [listed, *_widgets(template_of(fact))]
    if fact.choices:
        return [widget(io.Combo.Input, fact.name, **shared, options=list(fact.choices))]
    if fact.type is bool:
        return [widget(io.Boolean.Input, fact.name, **shared)]
    if fact.type in (int, float):
        kind = io.Int.Input if fact.type is int else io.Float.Input
        bounds = {"min": fact.low, "max": fact.high, "step": fact.step}
        control = {"control_after_generate": True} if fact.name == "seed" else {}
        bounds = {name: bound for name, bound in bounds.items() if bound is not None}
        return [widget(kind, fact.name, **shared, **bounds, **control)]
    return [widget(io.String.Input, fact.name, **shared, multiline=fact.multiline)]


def expand_options(given: Mapping[str, Any], *, latent: Mapping | None = None) -> ExpandOptions:
    """Returns the options that the values of the widgets say; a latent says width and height."""
    values = {}
    for fact in describe(ExpandOptions):
        if fact.name not in given:
            continue
        own = fact.presets and given[fact.name] == CUSTOM
        values[fact.name] = given.get(template_of(fact).name, "") if own else given[fact.name]
    return ExpandOptions(**(values | (pixels(latent) if latent is not None else {})))


def pixels(latent: Mapping, *, cell: int = PIXELS_PER_CELL) -> dict[str, int]:
    """Returns the width and height in pixels of what a latent will be, of such cells if it names none."""
    cell = latent.get("downscale_ratio_spacial") or cell
    height, width = latent["samples"].shape[-2:]
    return {"width": int(width * cell), "height": int(height * cell)}


def sheet_scale() -> Any:
    """Returns the widget of nodes that draw a sheet: how large pictures are on it."""
    return widget(
        io.Int.Input,
        "scale",
        default=1,
        min=1,
        max=8,
        optional=True,
        tooltip="How many times as large small pictures are shown.",
    )


def check_bounds(node: type[io.ComfyNode], **numbers: int) -> None:
    """Raises ValueError for a number out of its widget's bounds, since ComfyUI looks at typed ones alone."""
    facts = {each.id: each.as_dict() for each in node.define_schema().inputs}
    for name, number in numbers.items():
        low, high = facts[name]["min"], facts[name]["max"]
        if not low <= number <= high:
            raise ValueError(f"{name} must lie in {low} to {high}, got {number!r}")


def image_of(picture: Any) -> torch.Tensor:
    """Returns a picture of Pillow as IMAGE (1, h, w, 3)."""
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.view(1, picture.height, picture.width, 3) / 255


def request(
    prompt: str, prose: str, chips: str, options: Mapping[str, Any], latent: Mapping | None = None
) -> Request:
    """Returns the request that a node's widgets state."""
    keep, drop = read_decisions(chips)
    return Request(
        prompt,
        prose,
        expand_options(options, latent=latent),
        comments="comfyui",
        keep=keep,
        drop=drop,
    )
