"""What the page is told of the nodes (`/object_info`), read off their own schemas beside a fake ComfyUI."""

import importlib
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import comfy_fake

NODES = "presample.nodes"


def definitions() -> dict:
    """Returns the pack's nodes, and stock nodes to wire them to."""
    with _schemas() as schemas:
        ours = {schema.node_id: _node(schema) for schema in schemas}
    return {**ours, "PreviewAny": _preview(), "PrimitiveBoolean": _switch()}


@contextmanager
def _schemas():
    """Gives the schemas of the nodes; the fake and what was loaded beside it are gone again afterwards."""
    before = dict(sys.modules)
    for name in [name for name in sys.modules if name.startswith(NODES)]:
        del sys.modules[name]
    with tempfile.TemporaryDirectory() as base:
        try:
            fake = comfy_fake.install(base)
            importlib.import_module(f"{NODES}.tipo_model").register_folders()
            modules = importlib.import_module(f"{NODES}.registry").modules()
            yield [node.GET_SCHEMA() for module in modules for node in module.NODES]
        finally:
            for name in [name for name in sys.modules if name in fake or name.startswith(NODES)]:
                del sys.modules[name]
            ours = {name: module for name, module in before.items() if name in fake or name.startswith(NODES)}
            sys.modules.update(ours)


def _node(schema) -> dict:
    inputs = {"required": {}, "optional": {}}
    for made in schema.inputs:
        facts = made.as_dict()
        if "dynamic_prompts" in facts:
            facts["dynamicPrompts"] = facts.pop("dynamic_prompts")
        for ours, theirs in (("display_mode", "display"), ("force_input", "forceInput")):
            if ours in facts:
                facts[theirs] = facts.pop(ours)
        inputs["optional" if made.optional else "required"][made.id] = [made.kind, facts]
    return {
        "input": inputs,
        "input_order": {group: list(named) for group, named in inputs.items()},
        "output": [made.kind for made in schema.outputs],
        "output_is_list": [made.is_output_list for made in schema.outputs],
        "output_name": [made.display_name for made in schema.outputs],
        "output_tooltips": [made.tooltip for made in schema.outputs],
        "output_matchtypes": None,
        "name": schema.node_id,
        "display_name": schema.display_name,
        "description": schema.description,
        "python_module": "custom_nodes.presample",
        "category": schema.category,
        "search_aliases": schema.search_aliases,
        "output_node": schema.is_output_node,
        "deprecated": False,
        "experimental": False,
        "api_node": False,
    }


def _preview() -> dict:
    source = comfy_fake.modules()["comfy_api.latest"].io.Custom("*").Input("source")
    schema = comfy_fake.Schema("PreviewAny", "Preview Any", inputs=[source], is_output_node=True)
    return _node(schema)


def _switch() -> dict:
    boolean = comfy_fake.modules()["comfy_api.latest"].io.Boolean
    inputs, outputs = [boolean.Input("value", extra_dict={"default": False})], [boolean.Output("BOOLEAN")]
    return _node(comfy_fake.Schema("PrimitiveBoolean", "Boolean", inputs=inputs, outputs=outputs))
