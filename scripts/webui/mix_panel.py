"""The panel of Encoder Mix: slots for encoders, their weights, when and where the mix holds, and pasting.

Convention: as for `panel.py`: only what gradio 3.41 and 4.40 share, labels unique in all panels, sliders of
floats.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from . import mix_values
from .mix_values import NONE, SLOTS
from .panel import REFRESH_SYMBOL, keep_decimals, widget

LABELS = {"w": "Mix (w)", "negative": "Negative prompt", "negative_w": "Mix of the negative prompt"}


class MixPanel:
    """The widgets of one tab."""

    def __init__(self, script, tab: str):
        self.script, self.tab = script, tab
        self.facts = mix_values.facts()
        self.widgets: dict[str, Any] = {}
        with self._frame() as frame:
            self.widgets["enabled"] = frame
            rows = [self._slot(k) for k in range(1, SLOTS + 1)]
            with gr.Row():
                self._add("w")
                self._add("start")
            with gr.Accordion("Mix: advanced", open=False, elem_id=self._id("advanced")):
                rest = [name for name in self.facts if name not in self.widgets]
                for name in rest:
                    self._add(name)
        self._connect(rows)

    def inputs(self) -> list:
        """Returns the script's arguments in their order."""
        return [self.widgets[name] for name in self.facts]

    def infotext_fields(self) -> list:
        """Returns what each widget takes from a pasted infotext: plain values, as hosts want them."""
        return [(self.widgets[name], self._getter(name)) for name in self.facts]

    def _getter(self, name: str) -> Callable[[Mapping[str, Any]], Any]:
        """A picture that says nothing of a mix had none: only the tick is taken away."""

        def get(pairs: Mapping[str, Any]) -> Any:
            keep_decimals(self.widgets[name], self.facts[name])
            said = mix_values.read(pairs)
            if said is None:
                return False if name == "enabled" else None
            return said[name]

        return get

    def _id(self, name: str) -> str:
        return f"{self.tab}_presample_mix_{name}"

    def _frame(self):
        from modules.ui_components import InputAccordion

        return InputAccordion(False, label=self.script.title(), elem_id=self._id("panel"))

    def _slot(self, k: int) -> Any:
        """A row of the panel."""
        with gr.Row(visible=k == 1, elem_classes=["presample-ends"]) as row:
            with gr.Row(elem_classes=["presample-seed"]):
                self._encoder(f"encoder_{k}")
                if k == 1:
                    self._refresh()
            self._add(f"weight_{k}", info=None)
        return row

    def _encoder(self, name: str) -> None:
        # A pasted name of a file that is not here stays, and the message under the picture says so.
        shared = {"label": label(name), "elem_id": self._id(name), "allow_custom_value": True}
        self.widgets[name] = gr.Dropdown(choices(), value=NONE, **shared)

    def _refresh(self) -> None:
        from modules.ui_components import ToolButton

        self.refresh = ToolButton(REFRESH_SYMBOL, elem_id=self._id("refresh"))

    def _connect(self, rows: list) -> None:
        slots = [self.widgets[f"encoder_{k}"] for k in range(1, SLOTS + 1)]
        quiet = {"queue": False, "show_progress": False}

        def loaded(chosen: str) -> None:
            """Hosts call this with each saved default of the user's, before the page is there."""
            for row, visible in zip(rows, _visible([slot.value for slot in slots]), strict=True):
                row.visible = visible

        for slot in slots:
            slot.init_field = loaded
            slot.change(_shown, inputs=slots, outputs=rows, **quiet)
        self.refresh.click(_listed, inputs=[], outputs=slots, **quiet)

    def _add(self, name: str, **how: Any) -> None:
        fact = self.facts[name]
        shared = {"label": label(name), "info": fact.help, "elem_id": self._id(name), **how}
        self.widgets[name] = widget(fact, shared)


def label(name: str) -> str:
    """Returns the label of a widget."""
    return LABELS.get(name) or mix_values.label(name).capitalize()


def choices() -> list[str]:
    """Returns the encoders to choose from, and none."""
    from .mix_files import names

    return [NONE, *names()]


def _visible(chosen: Sequence[str]) -> list[bool]:
    """The slots up to the last that is in use, and one more."""
    used = [k for k, name in enumerate(chosen) if name and name != NONE]
    return [k <= max(used, default=-1) + 1 for k in range(len(chosen))]


def _shown(*chosen: str) -> list[dict]:
    return [gr.update(visible=visible) for visible in _visible(chosen)]


def _listed() -> list[dict]:
    found = choices()
    return [gr.update(choices=found)] * SLOTS
