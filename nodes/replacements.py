"""Workflows made with z-tipo-extension open with our nodes in the place of its own.

Source: its three nodes, their inputs in order and their outputs. ComfyUI knows replacements since 0.14; an
older one leaves the nodes missing, as it does without this file.
"""

from typing import Any

from comfy_api.latest import io

from ..models.options import CUSTOM, TEMPLATE

SHARED = {
    "prompt": "tags",
    "prose": "nl_prompt",
    "ban": "ban_tags",
    "model": "tipo_model",
    "width": "width",
    "height": "height",
    "temperature": "temperature",
    "top_p": "top_p",
    "min_p": "min_p",
    "top_k": "top_k",
    "tag_length": "tag_length",
    "prose_length": "nl_length",
    "seed": "seed",
}
# The widgets of a saved node in their order; the page itself adds the last but one, behind the seed.
TEXTS = ("tags", "nl_prompt", "ban_tags")
WIDGETS = (
    *("width", "height", "temperature", "top_p", "min_p", "top_k", "tag_length", "nl_length"),
    *("seed", "control_after_generate", "device"),
)
# It bans a tag for a part of it.
REACH = {"ban_mode": "substring"}
# Its format is a layout of one's own.
OWN_LAYOUT, LAYOUT_TEMPLATE = {"layout": CUSTOM}, f"layout{TEMPLATE}"
PROMPT, USER_PROMPT, EXPANSION = 0, 4, 6  # outputs of a node that expands


def replacements() -> list[Any]:
    """Returns what replaces which node of z-tipo-extension; nothing where ComfyUI has no such thing."""
    if not hasattr(io, "NodeReplace"):
        return []
    return [
        io.NodeReplace(
            new_node_id="PresampleTIPOExpand",
            old_node_id="TIPO",
            old_widget_ids=[*TEXTS, "tipo_model", "format", *WIDGETS],
            input_mapping=_inputs({**SHARED, LAYOUT_TEMPLATE: "format"}, {**REACH, **OWN_LAYOUT}),
            output_mapping=_outputs(PROMPT, USER_PROMPT, PROMPT, USER_PROMPT),
        ),
        io.NodeReplace(
            new_node_id="PresampleTIPOTask",
            old_node_id="TIPOOperation",
            old_widget_ids=[*TEXTS, "tipo_model", "operation", *WIDGETS],
            input_mapping=_inputs({**SHARED, "task": "operation"}, REACH),
            output_mapping=_outputs(EXPANSION, EXPANSION),
        ),
        io.NodeReplace(
            new_node_id="PresamplePromptLayout",
            old_node_id="TIPOFormat",
            old_widget_ids=["format"],
            input_mapping=_inputs({"expansion": "full_output", LAYOUT_TEMPLATE: "format"}, OWN_LAYOUT),
            output_mapping=_outputs(0, 1, 0, 1),
        ),
    ]


def _inputs(renamed: dict[str, str], fixed: dict[str, Any]) -> list[dict[str, Any]]:
    moved = [{"new_id": new, "old_id": old} for new, old in renamed.items()]
    return moved + [{"new_id": name, "set_value": value} for name, value in fixed.items()]


def _outputs(*new: int) -> list[dict[str, int]]:
    return [{"new_idx": place, "old_idx": old} for old, place in enumerate(new)]


async def register() -> None:
    """Tells ComfyUI of the replacements."""
    found = replacements()
    if found:
        from comfy_api.latest import ComfyAPI

        api = ComfyAPI()
        for replacement in found:
            await api.node_replacement.register(replacement)
