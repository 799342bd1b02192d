"""Buttons for aspect buckets below a tab's width and height.

Convention: sizes are (width, height) in pixels. A ratio has its longer side first, and is set upright where
the picture is upright now: a second click changes nothing, and the other orientation is one swap away.
"""

from functools import partial
from typing import Any

import gradio as gr

from ...models.playground.buckets import PUBLISHED, Size, in_ratio, list_for, nearest, swap

AUTO = "auto"
RATIOS = ("1:1", "4:3", "3:2", "16:9", "21:9")
SWAP_SYMBOL = "\u21c5"


def to_ratio(width: float, height: float, wanted: str, *, ratio: str) -> Size:
    """Returns what a ratio's button makes of the present size."""
    size = int(width), int(height)
    return in_ratio(size, ratio, list_for(size, wanted))


def snapped(width: float, height: float, wanted: str) -> Size:
    """Returns the bucket that is nearest in aspect to the present size."""
    size = int(width), int(height)
    return nearest(*size, list_for(size, wanted))


def swapped(width: float, height: float, wanted: str) -> Size:
    """Returns the present size turned over."""
    return swap((int(width), int(height)))


class Row:
    """The buttons of one tab, made where the host has just made its height."""

    def __init__(self, tab: str, width: Any, height: Any):
        self.tab = tab
        with gr.Row(elem_id=self._id("row"), elem_classes=["presample-buckets"]):
            shared = {"label": "Aspect buckets", "show_label": False, "container": False, "min_width": 76}
            self.wanted = gr.Dropdown([AUTO, *PUBLISHED], value=AUTO, elem_id=self._id("list"), **shared)
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
