"""What the page is told of the nodes (`/object_info`)."""

from presample.models.options import describe
from presample.models.tipo.options import ExpandOptions

OUTPUTS = {
    "prompt": "STRING",
    "tags": "STRING",
    "prose": "STRING",
    "added": "STRING",
    "user_prompt": "STRING",
    "seeds": "INT",
    "expansion": "PRESAMPLE_EXPANSION",
}


def definitions() -> dict:
    """Returns the node that expands, and a stock node to wire it to."""
    return {"PresampleTIPOExpand": expand(), "PreviewAny": preview()}


def expand() -> dict:
    required = {"prompt": ["STRING", {"multiline": True, "default": "", "dynamicPrompts": True}]}
    optional = {
        "tipo": ["PRESAMPLE_TIPO", {"lazy": True}],
        "latent": ["LATENT", {}],
        "prose": ["STRING", {"multiline": True, "default": ""}],
        "chips": ["PRESAMPLE_CHIPS", {"socketless": True, "default": "{}"}],
        "mode": ["COMBO", {"options": ["generate", "frozen"], "default": "generate"}],
        "frozen": ["STRING", {"multiline": True, "default": ""}],
        "count": ["INT", {"default": 1, "min": 1, "max": 64}],
    }
    for fact in describe(ExpandOptions):
        if fact.name != "model":
            optional[fact.name] = widget(fact)
        if fact.presets:
            optional[fact.name + "_template"] = ["STRING", {"multiline": True, "default": ""}]
    return node("PresampleTIPOExpand", "TIPO Expand", required, optional, OUTPUTS)


def widget(fact) -> list:
    facts = {"tooltip": fact.help, "advanced": fact.advanced, "default": fact.default}
    if fact.choices or fact.presets:
        return ["COMBO", facts | {"options": list(fact.choices) or [*fact.presets, "custom"]}]
    if fact.type is bool:
        return ["BOOLEAN", facts]
    if fact.type in (int, float):
        bounds = {"min": fact.low, "max": fact.high} | ({"step": fact.step} if fact.step else {})
        control = {"control_after_generate": True} if fact.name == "seed" else {}
        return ["INT" if fact.type is int else "FLOAT", facts | bounds | control]
    return ["STRING", facts | {"multiline": fact.multiline}]


def preview() -> dict:
    return node("PreviewAny", "Preview Any", {"source": ["*", {}]}, {}, {})


def node(name: str, title: str, required: dict, optional: dict, outputs: dict) -> dict:
    return {
        "input": {"required": required, "optional": optional},
        "input_order": {"required": list(required), "optional": list(optional)},
        "output": list(outputs.values()),
        "output_is_list": [True] * len(outputs),
        "output_name": list(outputs),
        "output_tooltips": None,
        "name": name,
        "display_name": title,
        "description": "",
        "python_module": "custom_nodes.presample",
        "category": "presample/tipo",
        "output_node": True,
        "deprecated": False,
        "experimental": False,
        "api_node": False,
    }
