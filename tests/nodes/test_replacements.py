"""Replacements for z-tipo-extension's nodes name inputs and outputs that are there."""

import json
import os
from pathlib import Path

import pytest

from presample.models.tipo.choices import model_name, task_name
from presample.models.tipo.options import TASK_CHOICES

OLD = {"TIPO": 4, "TIPOOperation": 2, "TIPOFormat": 4}  # outputs of each


@pytest.fixture
def found(comfy):
    return {each.old_node_id: each for each in comfy.replacements.replacements()}


def test_each_old_node_has_one(found):
    assert set(found) == set(OLD)


@pytest.mark.parametrize("old", OLD)
def test_inputs_and_outputs_exist_and_fixed_values_are_allowed(found, nodes, old):
    replacement = found[old]
    schema = nodes[replacement.new_node_id].GET_SCHEMA()
    inputs = {each.id: each for each in schema.inputs}
    for entry in replacement.input_mapping:
        assert entry["new_id"] in inputs
        if "set_value" in entry:
            assert entry["set_value"] in inputs[entry["new_id"]].facts["options"]
    assert [entry["old_idx"] for entry in replacement.output_mapping] == list(range(OLD[old]))
    assert all(entry["new_idx"] < len(schema.outputs) for entry in replacement.output_mapping)
    required = {each.id for each in schema.inputs if not each.optional}
    assert required <= {entry["new_id"] for entry in replacement.input_mapping}


def test_an_operation_of_theirs_gives_what_their_format_node_takes(found, nodes):
    expansion = found["TIPOOperation"].output_mapping[0]["new_idx"]
    made = nodes["PresampleTIPOTask"].GET_SCHEMA().outputs[expansion]
    assert made.kind == "PRESAMPLE_EXPANSION"
    taken = next(e for e in nodes["PresamplePromptLayout"].GET_SCHEMA().inputs if e.id == "expansion")
    assert taken.kind == made.kind


@pytest.mark.parametrize(
    "operation",
    [
        *("None", "short_to_tag", "short_to_tag_to_long", "tag_to_long", "tag_to_long_to_short"),
        *("tag_to_short", "tag_to_short_to_long", "long_to_tag"),
    ],
)
def test_every_operation_of_theirs_is_a_task_of_ours(operation):
    assert task_name(operation) in TASK_CHOICES


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("KBlueLeaf/TIPO-200M-ft | TIPO-200M-ft-F16.gguf", "TIPO-200M-ft"),
        ("KBlueLeaf/TIPO-200M-ft", "KBlueLeaf/TIPO-200M-ft"),
        ("TIPO-200M (not downloaded, 406 MB, Apache-2.0)", "TIPO-200M"),
        ("a (not downloaded) b", "a (not downloaded) b"),
        ("tipo-tiny", "tipo-tiny"),
        ("../x | y.gguf", "x"),
        ("a/b/c | d.gguf", "a/b/c | d.gguf"),
    ],
)
def test_labels_stand_for_names(label, name):
    assert model_name(label) == name


def test_older_comfyuis_are_left_alone(comfy, monkeypatch):
    monkeypatch.delattr(comfy.fake["comfy_api.latest"].io, "NodeReplace")
    assert comfy.replacements.replacements() == []


def test_their_own_example_has_the_widgets_that_are_counted_on(found):
    checkout = os.environ.get("ZTIPO_PATH")
    if not checkout:
        pytest.skip("ZTIPO_PATH names no checkout of z-tipo-extension")
    text = (Path(checkout) / "examples" / "tipo-demo-workflow.json").read_text(encoding="utf-8")
    (node,) = [n for n in json.loads(text)["nodes"] if n["type"] == "TIPO"]
    values = dict(zip(found["TIPO"].old_widget_ids, node["widgets_values"], strict=True))
    assert values["tag_length"] in ("very_short", "short", "long", "very_long")
    assert isinstance(values["seed"], int)
    assert "<|general|>" in values["format"]
    assert values["device"] in ("cpu", "cuda")
