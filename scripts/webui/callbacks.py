"""What a WebUI is told once while it starts: settings, axes for its grids, and what pasting changes."""

from collections.abc import Callable
from typing import Any

from ...models.options import Option
from . import values
from .job import OVERRIDES

SECTION = ("presample", "Presample")
AXES = ("enabled", "seed", "temperature", "tag_length", "prose_length", "model", "layout", "top_p", "min_p")


def register() -> None:
    """Registers the callbacks; hosts forget them at Reload UI and run the script again."""
    from modules import script_callbacks

    script_callbacks.on_ui_settings(add_settings)
    script_callbacks.on_before_ui(add_axes)
    script_callbacks.on_infotext_pasted(restore_prompt)


def add_settings() -> None:
    """Adds the section of settings."""
    import gradio as gr
    from modules.shared import OptionInfo, opts

    from .panel import EXACT, ONWARD

    choice = gr.Radio
    settings = {
        "folder": OptionInfo("", "Folder of TIPO models").info("beside models/tipo and models/kgen"),
        "keep": OptionInfo(True, "Keep the model in memory between jobs"),
        "device": OptionInfo("cpu", "Where the model runs", choice, {"choices": ["cpu", "gpu"]}),
        "hide_prose": OptionInfo(False, "Hide the box for natural language").needs_reload_ui(),
        "paste": OptionInfo(EXACT, "Pasting an infotext restores", choice, {"choices": [EXACT, ONWARD]}).info(
            "the expanded prompt with expansion off, or the original prompt and its settings"
        ),
    }
    for name, info in settings.items():
        info.section = SECTION
        opts.add_option(f"presample_{name}", info)


def restore_prompt(infotext: str, pairs: dict[str, Any]) -> None:
    """Puts the original prompt into what is pasted, where that is to be restored."""
    from .panel import pasted_prompt

    prompt = pasted_prompt(pairs)
    if prompt is not None:
        pairs["Prompt"] = prompt


def add_axes() -> None:
    """Adds our axes to the X/Y/Z plot, where there is one."""
    import modules.scripts as scripts

    named = ("xyz_grid.py", "scripts.xyz_grid")
    for found in scripts.scripts_data:
        if getattr(found.script_class, "__module__", "") not in named:
            continue
        grid = found.module
        there = {axis.label for axis in grid.axis_options}
        grid.axis_options += [axis for axis in _axes(grid) if axis.label not in there]
        return


def _axes(grid: Any) -> list:
    facts = values.facts()
    return [_axis(grid, facts[name]) for name in AXES]


def _axis(grid: Any, fact: Option):
    kind, choices = fact.type, None
    if fact.type is bool:
        kind, choices = str, lambda: ["True", "False"]
    elif fact.name == "model":
        from .keeper import labels

        choices = labels
    elif fact.choices:
        choices = lambda: list(fact.choices)  # noqa: E731
    label = f"[Presample] {fact.name.replace('_', ' ')}"
    return grid.AxisOption(label, kind, override(fact), choices=choices)


def override(fact: Option) -> Callable[[Any, Any, Any], None]:
    """Returns what an axis does to a cell's `p`, which is a shallow copy of the others'."""

    def apply(p: Any, value: Any, every: Any) -> None:
        if fact.type is bool:
            value = str(value).strip().lower() == "true"
        setattr(p, OVERRIDES, {**getattr(p, OVERRIDES, {}), fact.name: value})

    return apply
