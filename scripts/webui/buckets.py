"""Buttons for aspect buckets below a tab's width and height.

Convention: sizes are (width, height) in pixels. A ratio has its longer side first, and is set upright where
the picture is upright now: a second click changes nothing, and the other orientation is one swap away.
"""

import math
from functools import partial
from typing import Any

import gradio as gr

from ...models.playground.buckets import LISTS, nearest, parse_ratio, swap

Size = tuple[int, int]
AUTO = "auto"
OF_WEBUIS = ("sdxl", "novelai")  # the lists that there are models for
RATIOS = ("1:1", "4:3", "3:2", "16:9", "21:9")
SWAP_SYMBOL = "\u21c5"


def sizes_for(width: float, height: float, wanted: str) -> tuple[Size, ...]:
    """Returns a list of buckets: by name, or the one whose area is nearest to the present size's."""
    if wanted in OF_WEBUIS:
        return LISTS[wanted]
    area = math.log(max(1, width) * max(1, height))
    return min((LISTS[name] for name in OF_WEBUIS), key=lambda sizes: abs(_area(sizes) - area))


def _area(sizes: tuple[Size, ...]) -> float:
    """The logarithm of the middle area of a list."""
    areas = sorted(width * height for width, height in sizes)
    return math.log(areas[len(areas) // 2])


def to_ratio(width: float, height: float, wanted: str, *, ratio: str) -> Size:
    """Returns the bucket that is nearest to a ratio, upright where the present size is."""
    across = parse_ratio(ratio)
    across = 1 / across if height > width else across
    return nearest(round(1024 * across), 1024, sizes_for(width, height, wanted))


def snapped(width: float, height: float, wanted: str) -> Size:
    """Returns the bucket that is nearest in aspect to the present size."""
    return nearest(int(width), int(height), sizes_for(width, height, wanted))


def swapped(width: float, height: float, wanted: str) -> Size:
    """Returns the present size turned over."""
    return swap((int(width), int(height)))


class Row:
    """The buttons of one tab, made where the host has just made its height."""

    def __init__(self, tab: str, width: Any, height: Any):
        self.tab = tab
        with gr.Row(elem_id=self._id("row"), elem_classes=["presample-buckets"]):
            shared = {"label": "Aspect buckets", "show_label": False, "container": False, "min_width": 76}
            self.wanted = gr.Dropdown([AUTO, *OF_WEBUIS], value=AUTO, elem_id=self._id("list"), **shared)
            self.buttons = {ratio: self._button(ratio) for ratio in RATIOS}
            self.buttons |= {"snap": self._button("Snap"), "swap": self._button(SWAP_SYMBOL, "swap")}
        acts = {ratio: partial(to_ratio, ratio=ratio) for ratio in RATIOS}
        acts |= {"snap": snapped, "swap": swapped}
        size, quiet = [width, height], {"queue": False, "show_progress": False}
        for name, button in self.buttons.items():
            button.click(acts[name], inputs=[*size, self.wanted], outputs=size, **quiet)

    def _id(self, name: str) -> str:
        return f"{self.tab}_presample_buckets_{name}"

    def _button(self, text: str, name: str = "") -> Any:
        elem_id = self._id(name or text.replace(":", "to").lower())
        return gr.Button(text, size="sm", min_width=36, elem_id=elem_id)
