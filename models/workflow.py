"""Puts what a picture was made with into a ComfyUI workflow, for the picture to carry.

The workflow is a template of this repository, as ComfyUI's page saves it. Values lie there by position, and
positions of our nodes' values are for ever.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parents[1] / "example_workflows"
# Where the values of a node lie among its `widgets_values`.
PLACES: Mapping[str, Mapping[str, int]] = {
    "PresampleTIPOExpand": {"prompt": 0, "count": 5, "seed": 7, "tag_length": 9, "prose_length": 10},
    "EmptySD3LatentImage": {"width": 0, "height": 1},
    "PresampleMMHDiTSampler": {"steps": 2, "cfg": 3, "sampler": 4, "shift": 5},
}


def read_template(name: str) -> dict[str, Any] | None:
    """Returns a template, or None where Presample was installed without them."""
    path = TEMPLATES / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def filled(workflow: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a workflow whose nodes of each named type have the values; the one given is left as it is.

    Raises:
        KeyError: a type or a value has no known place.
    """
    made = copy.deepcopy(dict(workflow))
    for kind, wanted in values.items():
        for node in (node for node in made["nodes"] if node["type"] == kind):
            for name, value in wanted.items():
                node["widgets_values"][PLACES[kind][name]] = value
    return made
