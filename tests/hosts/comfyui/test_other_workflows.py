"""Workflows of others: z-tipo-extension's own example, read from a checkout that ZTIPO_PATH names."""

import json
import os
from pathlib import Path

import pytest

EXAMPLE = "examples/tipo-demo-workflow.json"
WIDGETS = (
    *("tags", "nl_prompt", "ban_tags", "tipo_model", "format", "width", "height", "temperature", "top_p"),
    *("min_p", "top_k", "tag_length", "nl_length", "seed", "control", "device"),
)


@pytest.fixture(scope="module")
def example():
    named = os.environ.get("ZTIPO_PATH")
    if not named:
        pytest.skip("ZTIPO_PATH names no checkout of z-tipo-extension")
    return json.loads((Path(named) / EXAMPLE).read_text(encoding="utf-8"))


@pytest.fixture
def theirs(example, server):
    """Their node as a page without their pack queues it, by the names of its inputs."""
    if "PresampleTIPOExpand" not in json.dumps(replacements(server)):
        pytest.skip(f"ComfyUI {server.version} has no replacements of nodes")
    node = next(node for node in example["nodes"] if node["type"] == "TIPO")
    values = dict(zip(WIDGETS, node["widgets_values"], strict=False))
    values.pop("control")
    return values


def queued(inputs):
    return {"class_type": "TIPO", "inputs": inputs, "_meta": {"title": "TIPO"}}


def replacements(server):
    try:
        return server.get("/node_replacements")
    except OSError:
        return {}


def test_their_node_is_replaced_and_keeps_what_was_written(theirs, server):
    old = queued({**theirs, "tipo_model": "tipo-tiny"})
    preview = {"class_type": "PreviewAny", "inputs": {"source": ["38", 0]}}
    result = server.run({"38": old, "1": preview})
    assert result.end == "execution_success", result.error
    prompt = result.output("1")["text"][0]
    assert "snow leopard girl" in prompt
    assert "(ningen mame:1.1)" in prompt
    assert prompt.index("(ningen mame:1.1)") < prompt.index("snow leopard girl")  # as their format says
    shown = result.variations("38")[0]
    assert shown["seed"] == str(theirs["seed"])
    assert not [c for c in shown["chips"] if not c["own"] and "weapon" in c["text"]]


def test_their_model_that_is_not_here_is_named(theirs, server):
    result = server.run({"38": queued(theirs)})
    assert result.end == "execution_error"
    assert "TIPO-200M-ft2" in result.error
