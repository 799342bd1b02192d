"""The panel: one widget for each option, buttons, and what a pasted infotext does to them.

Convention: only what gradio 3.41 and 4.40 share. Labels are unique in the panel, for hosts keep the user's
defaults by them; sliders have the type of their option, for hosts convert an API's values by it.
"""

import html
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gradio as gr

from ...models.hub import find_models, published_model
from ...models.options import CUSTOM, Option
from ...models.tipo.choices import label_now, model_labels, model_name
from ...models.tipo.infotext import KEY, Record, read
from . import actions, model_list, values
from .keeper import folders, labels, setting
from .memory import bare
from .work import Running

EXACT, ONWARD = "this exact picture", "go on generating"
RESTORE = "Presample restore"  # an API client may add it to an infotext, in the place of the setting
# hosts explain these three themselves
RANDOM_SYMBOL, REUSE_SYMBOL, REFRESH_SYMBOL = "\U0001f3b2\ufe0f", "\u267b\ufe0f", "\U0001f504"
FIRST = ("prose", "tag_length", "prose_length", "model", "seed")  # always in sight; their help is a tooltip
PLACES = (("layout",), (values.LAYOUT_TEMPLATE,), ("ban", "protect"), ("seed_from", "batch", "timing"))


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
        self.unseen = ("prose",) if setting("hide_prose", False) else ()
        self.widgets: dict[str, Any] = {}
        with self._frame() as frame:
            self.widgets["enabled"] = frame
            self._buttons()
            self._first()
            with gr.Accordion("Layout, bans and batches", open=False, elem_id=self._id("places")):
                self._rows(PLACES)
            with gr.Accordion("Advanced", open=False, elem_id=self._id("advanced")):
                rest = [name for name in self.facts if name not in (*self.widgets, values.CHIPS)]
                self._rows(zip(rest[::2], [*rest[1::2], ""], strict=False))
            self._hidden()
        layout, template = self.widgets["layout"], self.widgets[values.LAYOUT_TEMPLATE]
        # Hosts call this with the user's saved default, before the page is there.
        layout.init_field = lambda chosen: setattr(template, "visible", chosen == CUSTOM)
        layout.change(_template, inputs=[layout], outputs=[template], queue=False, show_progress=False)
        actions.tell(self, "result", self.result)
        actions.tell(self, "chips", self.widgets[values.CHIPS])
        model_list.connect(self)

    def inputs(self) -> list:
        """Returns the script's arguments in their order."""
        return [self.widgets[name] for name in self.facts]

    def connect_pictures(self, info) -> None:
        """Shows the chips of the pictures that were made, when the host has filled in their `info`."""
        show = actions.show_made(self.script.memory)
        info.change(show, inputs=[info], outputs=[self.result], queue=False, show_progress=False)

    def _id(self, name: str) -> str:
        return f"{self.tab}_presample_{name}"

    def _frame(self):
        """An accordion that is a checkbox too, where the host has one; it is made anew by Reload UI."""
        from modules.ui_components import InputAccordion

        return InputAccordion(False, label=self.script.title(), elem_id=self._id("tipo"))

    def _buttons(self) -> None:
        with gr.Row(elem_id=self._id("buttons"), elem_classes=["presample-buttons"]):
            self.generate = self._button("generate", "Generate prompt", scale=2)
            self.stop = self._button("stop", "Stop", scale=2)
            self.vary = self._button("vary", "Variations", scale=1)
            self.undo = self._button("undo", "Undo", scale=1)
        with gr.Column(elem_id=self._id("status"), elem_classes=["presample-said"]):
            self.status = gr.HTML("")
        with gr.Column(elem_id=self._id("shown"), elem_classes=["presample-web"]):
            gr.HTML(self._help())

    def _button(self, name: str, text: str, **how: Any):
        classes = [f"presample-{name}"]
        return gr.Button(text, elem_id=self._id(name), elem_classes=classes, size="sm", min_width=72, **how)

    def _help(self) -> str:
        """The help of the widgets that show none, for the page's tooltips."""
        said = json.dumps({name: self.facts[name].help for name in FIRST})
        return f'<div hidden data-help="{html.escape(said, quote=True)}"></div>'

    def _first(self) -> None:
        self._add(
            "prose",
            info=None,
            visible="prose" not in self.unseen,
            placeholder="Optional: what you want, in a sentence",
            lines=1,
            elem_classes=["prompt"],  # completion of tags looks for it
        )
        self.widgets["prose"].do_not_save_to_config = "prose" in self.unseen
        with gr.Row():
            for name in ("tag_length", "prose_length"):
                self._add(name, info=None)
        with gr.Row(elem_classes=["presample-ends"]):
            with gr.Row(elem_classes=["presample-seed"]):
                self._add("model", info=None)
                self.refresh = self._tool("refresh", REFRESH_SYMBOL)
            with gr.Row(elem_classes=["presample-seed"]):
                self._add("seed", info=None)
                self._seed_buttons()
        self._download()

    def _download(self) -> None:
        """What is below the list where the chosen model is not here."""
        classes = ["presample-said", "presample-fetching"]
        with gr.Column(visible=False, elem_id=self._id("fetching"), elem_classes=classes) as self.fetching:
            self.offered = gr.HTML("")
            self.fetch = self._button("fetch", "Download", visible=False)
            self.fetch_stop = self._button("fetch_stop", "Stop the download", visible=False)
        self.fetches = gr.State(Running())

    def _tool(self, name: str, symbol: str):
        from modules.ui_components import ToolButton

        return ToolButton(symbol, elem_id=self._id(name))

    def _seed_buttons(self) -> None:
        seed = self.widgets["seed"]
        drawn, reuse = self._tool("random_seed", RANDOM_SYMBOL), self._tool("reuse_seed", REUSE_SYMBOL)
        js = actions.panel_js()
        drawn.click(fn=None, inputs=[], outputs=[seed], **{js: f"() => {values.RANDOM}"})
        shown = actions.asking(self.tab, "seed")
        reuse.click(fn=None, inputs=[seed], outputs=[seed], **{js: f"(seed) => {shown} ?? seed"})

    def _rows(self, rows: Iterable[Sequence[str]]) -> None:
        for names in rows:
            with gr.Row():
                for name in filter(None, names):
                    how = {"visible": False} if name == values.LAYOUT_TEMPLATE else {}
                    self._add(name, **how)

    def _hidden(self) -> None:
        """What the page and the server say to each other."""
        self._add(values.CHIPS, visible=False, info=None)
        self.result = gr.Textbox("", label="Presample result", visible=False, elem_id=self._id("result"))
        self.result.do_not_save_to_config = True
        self.widgets[values.CHIPS].do_not_save_to_config = True
        self.place = gr.Number(0, label="Presample place", visible=False, precision=0)
        self.place.do_not_save_to_config = True
        self.take = gr.Button("Take", visible=False, elem_id=self._id("take"))
        self.reroll = gr.Button("Reroll", visible=False, elem_id=self._id("reroll"))
        self.varied, self.history, self.running = gr.State([]), gr.State([]), gr.State(Running())

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
            keep_decimals(self.widgets[name], self.facts[name])
            record = None if name in self.unseen else read(pairs)
            return self.values(record, values.image_seed(pairs)).get(name) if record else None

        return get

    def values(self, record: Record, image: int | None = None) -> dict[str, Any]:
        """Returns what an infotext states for the widgets; a model that is not in the list is left out."""
        found = values.widget_values(record, image)
        if "model" in found and (chosen := _listed(found.pop("model"))):
            found["model"] = chosen
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


def _is_onward(pairs: Mapping[str, Any]) -> bool | None:
    """Whether to go on expanding; None leaves it as it is, for a picture that says nothing of it."""
    if mode(pairs) == EXACT:
        return _is_unexpanded(pairs)
    return True if read(pairs) else None


def _is_unexpanded(pairs: Mapping[str, Any]) -> bool:
    """Whether an infotext has the prompt from before, as reForge writes it where it saves comments: what it
    is of is made again with the expansion."""
    original = read(pairs).prompt if KEY in pairs else None
    return original is not None and bare(str(pairs.get("Prompt"))) == bare(original)


def _listed(name: str) -> str | None:
    """The label of the model that an infotext names, None where the list has no such model."""
    found = find_models(folders())
    listed = {model_name(label): label for label in model_labels(found)}
    known = published_model(name)
    return listed.get(name) or (listed.get(label_now(known.name, found)) if known else None)


def _template(layout: str) -> dict:
    return gr.update(visible=layout == CUSTOM)


def label(name: str) -> str:
    """Returns the label of a widget."""
    return {"prose": "Natural language", "batch": "Images of a batch"}.get(name) or (
        name.replace("_", " ").capitalize()
    )


def keep_decimals(widget: Any, fact: Option) -> None:
    """Has a widget's value be of its option's type, to which hosts convert an API's values.

    A default that the user has saved may be a whole number.
    """
    if fact.type is float:
        widget.value = float(widget.value)


def widget(fact: Option, shared: dict[str, Any]):
    """Returns the widget for an option."""
    if fact.name == "model":
        return gr.Dropdown(labels(), value=fact.default, **shared)
    if fact.choices:
        kind = gr.Radio if len(fact.choices) <= 3 else gr.Dropdown
        return kind(list(fact.choices), value=fact.default, **shared)
    if fact.type is bool:
        return gr.Checkbox(fact.default, **shared)
    if fact.type is int and fact.step is None:
        return gr.Number(fact.default, precision=0, **shared)
    if fact.type in (int, float):
        return gr.Slider(fact.low, fact.high, fact.type(fact.default), step=fact.step, **shared)
    return gr.Textbox(fact.default, **{"lines": 2 if fact.multiline else 1, **shared})
