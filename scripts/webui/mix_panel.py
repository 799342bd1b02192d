"""The panel of Encoder Mix: slots for encoders, their weights, when and where the mix holds, and pasting.

Convention: as for `panel.py`: only what gradio 3.41 and 4.40 share, unique labels, sliders of floats.
"""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from . import mix_values
from .mix_values import NONE, SLOTS
from .panel import widget

PLACES = (("w", "start", "end"), ("negative", "negative_w", "weighting"))
REFRESH_SYMBOL = "\U0001f504"


class MixPanel:
    """The widgets of one tab."""

    def __init__(self, script, tab: str):
        self.script, self.tab = script, tab
        self.facts = mix_values.facts()
        self.widgets: dict[str, Any] = {}
        with self._frame() as frame:
            self.widgets["enabled"] = frame
            rows = [self._slot(k) for k in range(1, SLOTS + 1)]
            for names in PLACES:
                with gr.Row():
                    for name in names:
                        self._add(name)
        self._reveal(rows)

    def inputs(self) -> list:
        """Returns the script's arguments in their order."""
        return [self.widgets[name] for name in self.facts]

    def infotext_fields(self) -> list:
        """Returns what each widget takes from a pasted infotext: plain values, as hosts want them."""
        return [(self.widgets[name], _getter(name)) for name in self.facts]

    def _id(self, name: str) -> str:
        return f"{self.tab}_presample_mix_{name}"

    def _frame(self):
        from modules.ui_components import InputAccordion

        return InputAccordion(False, label=self.script.title(), elem_id=self._id("panel"))

    def _slot(self, k: int) -> Any:
        with gr.Row(visible=k == 1, elem_classes=["presample-slot"]) as row:
            name = f"encoder_{k}"
            # A pasted name of a file that is not here stays, and is said under the picture.
            shared = {"allow_custom_value": True, "elem_id": self._id(name)}
            text = mix_values.label(name).capitalize()
            self.widgets[name] = gr.Dropdown(choices(), value=NONE, label=text, **shared)
            if k == 1:
                self._refresh()
            self._add(f"weight_{k}", info=None)
        return row

    def _refresh(self) -> None:
        from modules.ui_components import ToolButton

        self.refresh = ToolButton(REFRESH_SYMBOL, elem_id=self._id("refresh"))

    def _reveal(self, rows: list) -> None:
        """Shows as many slots as are in use, and one more; the list of encoders is read again when asked."""
        slots = [self.widgets[f"encoder_{k}"] for k in range(1, SLOTS + 1)]
        quiet = {"queue": False, "show_progress": False}
        for slot in slots:
            slot.change(_shown, inputs=slots, outputs=rows, **quiet)
        self.refresh.click(_listed, inputs=slots, outputs=slots, **quiet)

    def _add(self, name: str, **how: Any) -> None:
        fact = self.facts[name]
        text = mix_values.label(name).capitalize()
        self.widgets[name] = widget(
            fact, {"label": text, "info": fact.help, "elem_id": self._id(name), **how}
        )


def choices() -> list[str]:
    """Returns the encoders to choose from, and none."""
    from .mix_files import names

    return [NONE, *names()]


def _shown(*chosen: str) -> list[dict]:
    used = max((k for k, name in enumerate(chosen) if name and name != NONE), default=-1)
    return [gr.update(visible=k <= used + 1) for k in range(len(chosen))]


def _listed(*chosen: str) -> list[dict]:
    found = choices()
    return [gr.update(choices=found) for _ in chosen]


def _getter(name: str) -> Callable[[Mapping[str, Any]], Any]:
    """A picture that says nothing of a mix had none: only the tick is taken away."""

    def get(pairs: Mapping[str, Any]) -> Any:
        said = mix_values.read(pairs)
        if said is None:
            return False if name == "enabled" else None
        return said[name]

    return get
