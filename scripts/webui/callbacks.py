"""What a WebUI is told once while it starts: settings, axes for its grids, and what pasting changes."""

from typing import Any

from ...models.tipo.infotext import read
from .axes import add_axes
from .edm_models import let_forge_load, switch

SECTION = ("presample", "Presample")


def register() -> None:
    """Registers what there is; hosts forget callbacks at Reload UI and run the script again."""
    from modules import script_callbacks

    add_settings()
    let_forge_load()
    # Hosts look up who registers a callback in all modules, 30 ms a time while a script is being imported.
    script_callbacks.on_before_ui(_prepare)


def _prepare() -> None:
    from modules import script_callbacks

    script_callbacks.on_infotext_pasted(restore)
    # A1111 puts another checkpoint's weights into the object that it has, a hires pass's too.
    script_callbacks.on_model_loaded(lambda model: switch(model, False))
    add_axes()


def add_settings() -> None:
    """Adds the section of settings."""
    import gradio as gr
    from modules.shared import OptionInfo, opts

    from .panel import EXACT, ONWARD

    choice = gr.Radio
    settings = {
        "folder": OptionInfo("", "Folder of TIPO models").info("beside models/tipo and models/kgen"),
        "encoders": OptionInfo("", "Folder of tuned text encoders").info("beside models/text_encoder"),
        "keep": OptionInfo(True, "Keep the model in memory between jobs"),
        "device": OptionInfo("cpu", "Where the model runs", choice, {"choices": ["cpu", "gpu"]}),
        "hide_prose": OptionInfo(False, "Hide the box for natural language").needs_reload_ui(),
        "buckets": OptionInfo(True, "Show aspect buckets below width and height").needs_reload_ui(),
        "paste": OptionInfo(EXACT, "Pasting an infotext restores", choice, {"choices": [EXACT, ONWARD]}).info(
            "the expanded prompt with expansion off, or the original prompt and its settings"
        ),
    }
    for name, info in settings.items():
        info.section = SECTION
        opts.add_option(f"presample_{name}", info)


def restore(infotext: str, pairs: dict[str, Any]) -> None:
    """Puts the prompt that is to be restored into what is pasted, with the styles that are not in it."""
    from .panel import pasted_prompt

    record = read(pairs)
    if record is None:
        return
    original = pasted_prompt(pairs)
    if original is not None:
        pairs["Prompt"] = original
    if record.extras.get("timing") != "before":
        _restore_styles(pairs, original)


def _restore_styles(pairs: dict[str, Any], original: str | None) -> None:
    """Corrects what the host made of styles: it finds their text at the end of the expanded prompt only.

    An expansion holds it further up, where it would come twice with the styles that are chosen now.
    """
    from modules import shared

    if getattr(shared.opts, "infotext_styles", "Ignore") not in ("Apply", "Apply if any"):
        return
    found = pairs.get("Styles array") or []
    if original is not None:
        database, negative = shared.prompt_styles, pairs.get("Negative prompt", "")
        negative = database.apply_negative_styles_to_prompt(negative, found)
        found, pairs["Prompt"], pairs["Negative prompt"] = database.extract_styles_from_prompt(
            original, negative
        )
    pairs["Styles array"] = found
