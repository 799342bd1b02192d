"""The panel: one widget for each option, buttons, and what a pasted infotext does to them.

Convention: only what gradio 3.41 and 4.40 share. Labels are unique in the panel, for hosts keep the user's
defaults by them; sliders have the type of their option, for hosts convert an API's values by it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from ...models.options import Option
from ...models.tipo.infotext import Record, read
from . import actions, values
from .keeper import labels, setting

EXACT, ONWARD = "this exact picture", "go on generating"
RESTORE = "Presample restore"  # an API client may add it to an infotext, in the place of the setting
MAIN = ("model", "tag_length", "prose_length", "layout", values.TEMPLATE, "ban", "protect")


def mode(pairs: Mapping[str, Any]) -> str:
    """Returns what pasting is to restore."""
    wanted = str(pairs.get(RESTORE) or setting("paste", EXACT))
    return ONWARD if wanted in (ONWARD, "original") else EXACT


def pasted_prompt(pairs: Mapping[str, Any]) -> str | None:
    """Returns the prompt from before the expansion, where pasting is to restore that."""
    record = read(pairs)
    return record.prompt if record and mode(pairs) == ONWARD else None


class Panel:
    """The widgets of one tab."""

    def __init__(self, script, tab: str):
        self.script, self.tab = script, tab
        self.facts = values.facts()
        self.widgets: dict[str, Any] = {}
        with self._frame() as frame:
            self.widgets["enabled"] = frame
            self._buttons()
            self._main()
            with gr.Accordion("Advanced", open=False, elem_id=self._id("advanced")):
                for name in self.facts:
                    if name not in self.widgets:
                        self._add(name)
        actions.connect(self)

    def inputs(self) -> list:
        """Returns the script's arguments in their order."""
        return [self.widgets[name] for name in self.facts]

    def _id(self, name: str) -> str:
        return f"{self.tab}_presample_{name}"

    def _frame(self):
        """An accordion that is a checkbox too, where the host has one; it is made anew by Reload UI."""
        from modules.ui_components import InputAccordion

        return InputAccordion(False, label=self.script.title(), elem_id=self._id("tipo"))

    def _buttons(self) -> None:
        with gr.Row(elem_classes=["presample-buttons"]):
            self.generate = gr.Button("Generate prompt", elem_id=self._id("generate"))
            self.stop = gr.Button("Stop", elem_id=self._id("stop"))
            self.undo = gr.Button("Undo", elem_id=self._id("undo"))
            self.vary = gr.Button("Variations", elem_id=self._id("vary"))
        self.status = gr.HTML("", elem_id=self._id("status"), elem_classes=["presample-status"])
        self.choices = gr.Radio(
            [],
            label="Variations, a click takes one",
            visible=False,
            elem_id=self._id("variations"),
            elem_classes=["presample-variations"],
        )
        self.varied = gr.State([])
        self.history = gr.State([])

    def _main(self) -> None:
        visible = not setting("hide_prose", False)
        self._add("prose", visible=visible, placeholder="Optional: what you want, in a sentence", lines=2)
        for names in (("model", "seed"), ("tag_length", "prose_length"), ("layout",), (values.TEMPLATE,)):
            with gr.Row():
                for name in names:
                    self._add(name)
        with gr.Row():
            self._add("ban", lines=1)
            self._add("protect", lines=1)
        with gr.Row():
            for name in ("seed_from", "batch", "timing"):
                self._add(name)

    def _add(self, name: str, **how: Any) -> None:
        fact = self.facts[name]
        shared = {"label": label(name), "info": fact.help, "elem_id": self._id(name), **how}
        self.widgets[name] = widget(fact, shared)

    def infotext_fields(self) -> list:
        """Returns what each widget takes from a pasted infotext; an API's infotext goes the same way.

        Plain values only: hosts know the other version's updates by another name.
        """
        fields = [(self.widgets["enabled"], _is_onward)]
        for name in self.facts:
            if name != "enabled":
                fields.append((self.widgets[name], self._getter(name)))
        return [*fields, *self._prompt_field()]

    def _getter(self, name: str) -> Callable[[Mapping[str, Any]], Any]:
        def get(pairs: Mapping[str, Any]) -> Any:
            record = read(pairs)
            return self.values(record).get(name) if record else None

        return get

    def values(self, record: Record) -> dict[str, Any]:
        """Returns what an infotext states for the widgets; a model that is not here is left out."""
        found = values.widget_values(record)
        if found.get("model") not in labels():
            found.pop("model", None)
        return found

    def _prompt_field(self) -> list:
        """The API's way to the original prompt; the page's is the callback for pasted infotexts."""
        try:
            from modules.infotext_utils import PasteField
        except ImportError:
            return []
        return (
            [PasteField(self.script.prompt_box, pasted_prompt, api="prompt")]
            if self.script.prompt_box
            else []
        )


def _is_onward(pairs: Mapping[str, Any]) -> bool:
    return read(pairs) is not None and mode(pairs) == ONWARD


def label(name: str) -> str:
    """Returns the label of a widget."""
    return {"prose": "Natural language", "batch": "Images of a batch"}.get(name) or (
        name.replace("_", " ").capitalize()
    )


def widget(fact: Option, shared: dict[str, Any]):
    """Returns the widget for an option."""
    if fact.name == "model":
        return gr.Dropdown(labels(), value=fact.default, **shared)
    if fact.choices:
        kind = gr.Radio if len(fact.choices) <= 5 else gr.Dropdown
        return kind(list(fact.choices), value=fact.default, **shared)
    if fact.type is bool:
        return gr.Checkbox(fact.default, **shared)
    if fact.type is int and fact.step is None:
        return gr.Number(fact.default, precision=0, **shared)
    if fact.type in (int, float):
        return gr.Slider(fact.low, fact.high, fact.type(fact.default), step=fact.step, **shared)
    return gr.Textbox(fact.default, **{"lines": 2 if fact.multiline else 1, **shared})
