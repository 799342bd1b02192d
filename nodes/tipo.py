"""TIPO Expand and TIPO Task: a prompt in, detailed prompts out, shown as chips and kept with the picture.

Convention: every output is a list with one item for each variation, so whatever comes behind runs once for
each. What the user decided about tags is part of the prompt; what was written is not.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..models.options import Option, describe
from ..models.tipo.chips import payload, read_decisions
from ..models.tipo.choices import model_labels, model_name, task_name
from ..models.tipo.expansion import Expansion
from ..models.tipo.frozen import Share, frozen_expansions
from ..models.tipo.options import TASK_CHOICES, ExpandOptions
from ..models.tipo.tags import load_tags
from . import convert, items
from .compat import schema, widget
from .stream import write
from .tipo_model import CATEGORY, Model, available, fingerprint, load_for_run

MODES = ("generate", "frozen")
DEFAULT_TASK = "tag_to_long"
MOST_VARIATIONS = 64  # of a run, and of those that a workflow holds, as result.mjs has it
VERSION = 1  # of what is written into a picture
HIDDEN = [io.Hidden.unique_id, io.Hidden.extra_pnginfo, io.Hidden.prompt]

ExpansionType = io.Custom("PRESAMPLE_EXPANSION")
Chips = io.Custom("PRESAMPLE_CHIPS")


def option_facts(*, without: Sequence[str]) -> list[Option]:
    """Returns the options that are widgets of a node; the model is one that is here or could be."""
    facts = [fact for fact in describe(ExpandOptions) if fact.name not in without]
    tip = "The model where no Load TIPO Model is connected; it is never downloaded from here."
    labels = tuple(model_labels(available()))
    return [replace(f, choices=labels, help=tip, advanced=True) if f.name == "model" else f for f in facts]


def inputs(*first: Any, without: Sequence[str] = ()) -> list[Any]:
    """Returns the inputs of a node that expands; they only grow at the end."""
    return [
        *first,
        widget(
            io.String.Input,
            "prompt",
            multiline=True,
            dynamic_prompts=True,
            default="",
            tooltip="What you want, as tags or as prose; it stays as it is, to the last character.",
        ),
        Model.Input("tipo", optional=True, lazy=True, tooltip="From Load TIPO Model, where you have one."),
        io.Latent.Input("latent", optional=True, tooltip="Says width and height in place of the widgets."),
        widget(
            io.String.Input,
            "prose",
            multiline=True,
            dynamic_prompts=True,
            default="",
            optional=True,
            tooltip="Natural language, where you want to write it apart from the tags.",
        ),
        Chips.Input(
            "chips",
            optional=True,
            tooltip="Click a tag to keep it, again to ban it.",
            **_socketless("{}"),
        ),
        widget(
            io.Combo.Input,
            "mode",
            options=list(MODES),
            default=MODES[0],
            optional=True,
            tooltip="frozen gives the stored text below and needs no model.",
        ),
        widget(
            io.String.Input,
            "frozen",
            multiline=True,
            default="",
            optional=True,
            tooltip="The stored prompts, parted by lines of ---; they stand as they are when frozen.",
        ),
        widget(
            io.Int.Input,
            "count",
            default=1,
            min=1,
            max=MOST_VARIATIONS,
            optional=True,
            tooltip="How many variations; what comes behind this node runs once for each.",
        ),
        *convert.option_inputs(option_facts(without=without)),
    ]


def _socketless(default: str) -> dict[str, Any]:
    return {"extra_dict": {"socketless": True, "default": default}}


def outputs() -> list[Any]:
    """Returns the outputs of a node that expands."""
    text = (
        ("prompt", "For the image model: your prompt with what was added."),
        ("tags", "All tags, yours and the added."),
        ("prose", "All sentences, yours and the added."),
        ("added", "The additions alone."),
        ("user_prompt", "Your prompt in the same layout, with nothing added."),
    )
    return [
        *(io.String.Output(display_name=name, tooltip=tip, is_output_list=True) for name, tip in text),
        io.Int.Output(display_name="seeds", tooltip="The seed of each.", is_output_list=True),
        ExpansionType.Output(
            display_name="expansion",
            tooltip="For Prompt Layout and others.",
            is_output_list=True,
        ),
    ]


class TIPOExpand(io.ComfyNode):
    """Expands a prompt into detailed ones."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleTIPOExpand",
            display_name="TIPO Expand",
            category=CATEGORY,
            description="Writes the tags and sentences that a short prompt leaves out. Your own text, its"
            " weights, LoRA tags and wildcards stay as they are.",
            search_aliases=[
                "tipo",
                "prompt expansion",
                "prompt upsampling",
                "kgen",
                "dantaggen",
                "magic prompt",
            ],
            inputs=inputs(),
            outputs=outputs(),
            hidden=HIDDEN,
            is_output_node=True,
        )

    @classmethod
    def check_lazy_status(cls, **given: Any) -> list[str]:
        return waiting(given)

    @classmethod
    def validate_inputs(cls, chips: str = "{}", model: str = "") -> bool | str:
        return wrong(chips) or True

    @classmethod
    def fingerprint_inputs(cls, **given: Any) -> Any:
        return told_apart(given)

    @classmethod
    def execute(cls, prompt: str, **given: Any) -> io.NodeOutput:
        return run(cls.hidden, prompt, given)


class TIPOTask(io.ComfyNode):
    """Runs one task of the model alone."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        task = next(fact for fact in describe(ExpandOptions) if fact.name == "task")
        chosen = replace(
            task,
            default=DEFAULT_TASK,
            choices=TASK_CHOICES[1:],
            advanced=False,
            help="Named by what is given and what is written from it; tags goes on with tags alone.",
        )
        return schema(
            node_id="PresampleTIPOTask",
            display_name="TIPO Task",
            category=CATEGORY,
            description="Runs one task of a TIPO model, such as tags to a description, and nothing else.",
            search_aliases=["tipo", "tag_to_long", "short_to_tag", "caption to tags", "tags to caption"],
            inputs=inputs(*convert.option_inputs([chosen]), without=("task",)),
            outputs=outputs(),
            hidden=HIDDEN,
            is_output_node=True,
        )

    @classmethod
    def check_lazy_status(cls, **given: Any) -> list[str]:
        return waiting(given)

    @classmethod
    def validate_inputs(
        cls, chips: str = "{}", model: str = "", task: str | None = DEFAULT_TASK
    ) -> bool | str:
        """A task that another node gives is None here: ComfyUI has yet to ask for it."""
        if task is not None and task_name(task) not in TASK_CHOICES[1:]:
            return f"task must be one of {', '.join(TASK_CHOICES[1:])}; got {task!r}"
        return wrong(chips) or True

    @classmethod
    def fingerprint_inputs(cls, **given: Any) -> Any:
        return told_apart(given)

    @classmethod
    def execute(cls, prompt: str, task: str = DEFAULT_TASK, **given: Any) -> io.NodeOutput:
        return run(cls.hidden, prompt, {**given, "task": task_name(task)})


def waiting(given: Mapping[str, Any]) -> list[str]:
    """Returns the inputs that are still to be made: the model, unless the text is frozen; notes the item."""
    items.note()
    absent = "tipo" in given and given["tipo"] is None
    return ["tipo"] if absent and given.get("mode", MODES[0]) == MODES[0] else []


def told_apart(given: Mapping[str, Any]) -> tuple:
    """Returns what changes when the model that a node reads by name is replaced, () where it reads none."""
    label = given.get("model")
    unread = "tipo" in given or given.get("mode") == MODES[1] or not isinstance(label, str)
    return () if unread else fingerprint(label)


def wrong(chips: str) -> str:
    """Returns what is wrong with the chips, or nothing.

    The name of a model is not looked at: one that is gone must not stop a workflow that is frozen.
    """
    try:
        read_decisions(chips)
    except ValueError as error:
        return str(error)
    return ""


def check_count(count: Any) -> None:
    """Raises ValueError for what is no number of variations."""
    if type(count) is not int or not 1 <= count <= MOST_VARIATIONS:
        raise ValueError(f"count must be a whole number from 1 to {MOST_VARIATIONS}, got {count!r}")


def run(hidden: Any, prompt: str, given: Mapping[str, Any]) -> io.NodeOutput:
    """Returns what a node that expands has made, and stores it with the workflow."""
    mode = given.get("mode", MODES[0])
    if mode not in MODES:  # ComfyUI 0.3.60 does not look
        raise ValueError(f"mode must be one of {', '.join(MODES)}; got {mode!r}")
    asked = convert.request(
        prompt, given.get("prose", ""), given.get("chips", "{}"), given, given.get("latent")
    )
    count = given.get("count", 1)
    check_count(count)  # ComfyUI does not look at what another node gives
    if mode == MODES[1]:
        share = Share(count, *_place(hidden))
        made = frozen_expansions(asked, given.get("frozen", ""), share, tags=load_tags())
    else:
        loaded = given.get("tipo") or load_for_run(model_name(asked.options.model))
        made = write(asked, count, loaded, hidden.unique_id)
    shown = [payload(expansion, stored=mode == MODES[1]) for expansion in made]
    room = store(hidden.extra_pnginfo, hidden.unique_id, made, shown)
    return result(made, [*shown[:room], *({} for _ in shown[room:])])


def result(made: Sequence[Expansion], shown: Sequence[Mapping]) -> io.NodeOutput:
    """Returns the outputs, one list each, and what the page shows, as JSON: a dict counts as a file made."""
    names = ("prompt", "tags", "prose", "added", "user_prompt", "seed")
    columns = [[getattr(expansion, name) for expansion in made] for name in names]
    return io.NodeOutput(*columns, list(made), ui={"presample": [json.dumps(each) for each in shown]})


def store(extra: Any, node: str | None, made: Sequence[Expansion], shown: Sequence[Mapping]) -> int:
    """Writes the result into what ComfyUI saves with a picture, to be read there and shown on reopening.

    Of a list of prompts, for which ComfyUI runs a node one by one, the later ones come behind the first.
    A workflow holds the first MOST_VARIATIONS, and how many there were; returns for how many of these there
    is room.
    """
    if not isinstance(extra, dict) or node is None:
        return len(shown)
    later = items.is_later()
    before = extra.get("presample", {}).get(str(node), {}) if later else {}
    seeds, prompts = before.get("seeds", []), before.get("prompts", [])
    room, total = MOST_VARIATIONS - len(prompts), before.get("total", 0) + len(made)
    said = {
        "version": VERSION,
        "seeds": [*seeds, *(str(expansion.seed) for expansion in made[:room])],
        "prompts": [*prompts, *(expansion.prompt for expansion in made[:room])],
        "total": total,
    }
    extra["presample"] = {**extra.get("presample", {}), str(node): said}
    for saved in _saved(extra.get("workflow"), str(node)):
        properties = saved.setdefault("properties", {})
        if isinstance(properties, dict):
            kept = [*(_variations(properties.get("presample")) if later else ()), *shown[:room]]
            whole = total <= MOST_VARIATIONS
            properties["presample"] = kept if whole else {"presample": kept, "total": total}
    return room


def _variations(stored: Any) -> list:
    """Returns the variations that a workflow holds, with or without how many there were."""
    return stored.get("presample", []) if isinstance(stored, dict) else stored or []


def _place(hidden: Any) -> tuple[int, int]:
    """The place of the item among those that share the node's own frozen text; a linked one is the item's."""
    asked = (hidden.prompt or {}).get(str(hidden.unique_id), {}).get("inputs", {})
    return (0, 1) if isinstance(asked.get("frozen"), list) else items.place()


def _saved(workflow: Any, node: str) -> list[dict]:
    """Returns the entry of a node in a workflow; "4:7" is node 7 of the subgraph that node 4 stands for."""
    if not isinstance(workflow, dict):
        return []
    nodes = workflow.get("nodes")
    *outer, last = node.split(":")
    for number in outer:
        kind = next((n.get("type") for n in _with_id(nodes, number)), None)
        graphs = (workflow.get("definitions") or {}).get("subgraphs") or []
        nodes = next((g.get("nodes") for g in graphs if g.get("id") == kind), None)
    return _with_id(nodes, last)


def _with_id(nodes: Any, number: str) -> list[dict]:
    return [n for n in nodes or [] if isinstance(n, dict) and str(n.get("id")) == number][:1]


NODES = [TIPOExpand, TIPOTask]
