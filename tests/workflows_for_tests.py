"""Saved workflows as the page reads them: widgets by position, in the order in which nodes declare them.

Convention: `definitions` is what `/object_info` answers, node by node: required inputs first, then optional.
The page keeps a value of its own behind an input that has `control_after_generate`.
"""

from collections.abc import Mapping
from typing import Any

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "PRESAMPLE_CHIPS")
CONTROL = "control_after_generate"
OF_THE_PAGE = ("MarkdownNote", "Note", "Reroute")  # nodes that no server knows


def inputs(definition: Mapping[str, Any]) -> list[tuple[str, Any, Mapping]]:
    """Returns name, type and facts of every input, in the order of the page."""
    found = []
    for group in ("required", "optional"):
        declared = definition["input"].get(group) or {}
        for name in (definition.get("input_order") or {}).get(group, declared):
            kind, *facts = declared[name]
            found.append((name, kind, facts[0] if facts else {}))
    return found


def widgets(definition: Mapping[str, Any]) -> list[str]:
    """Returns the names of the values in `widgets_values`."""
    names = []
    for name, kind, facts in inputs(definition):
        if (isinstance(kind, list) or kind in WIDGETS) and not facts.get("forceInput"):
            names += [name, CONTROL] if facts.get(CONTROL) else [name]
    return names


def to_prompt(workflow: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, dict]:
    """Returns what the page would queue for a saved workflow without subgraphs."""
    links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt = {}
    for node in workflow["nodes"]:
        if node["type"] in OF_THE_PAGE:
            continue
        names = widgets(definitions[node["type"]])
        values = dict(zip(names, node.get("widgets_values") or (), strict=False))
        values.pop(CONTROL, None)
        wired = {i["name"]: links[i["link"]] for i in node.get("inputs", ()) if i.get("link") is not None}
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": values | wired}
    return prompt
