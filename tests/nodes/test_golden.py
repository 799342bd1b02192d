"""Workflows saved by release 0.1.0 load for ever: every id, input, position and value in them still holds.

The files are never made again. A new input goes behind those that are there, or these tests fail.
"""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from workflows_for_tests import CONTROL, inputs, to_prompt, widgets

GOLDEN = Path(__file__).parents[1] / "golden"
RELEASES = {
    "0.1.0": (
        *("PresampleTIPOLoader", "PresampleTIPOExpand", "PresampleTIPOTask"),
        *("PresamplePromptLayout", "PresampleTIPOTextEncode", "PresamplePromptBatch"),
    ),
    "0.1.0-mmh-dit": (
        *("PresampleTinyWorldLoader", "PresampleMMHDiTTextEncode", "PresampleICFMSigmas"),
        *("PresampleMMHDiTSampler", "PresampleMMHHeadAllocation"),
    ),
    "0.1.0-textcraftor": (
        *("PresampleTextEncoderLoader", "PresampleEncoderMix", "PresampleEncoderInterpolate"),
        *("PresampleEncoderMerge", "PresampleMixSweep", "PresampleContactSheet"),
    ),
    "0.1.0-playground": (
        *("PresamplePlaygroundSampling", "PresampleEDMSigmas", "PresampleResolutionShift"),
        *("PresampleAspectBucketLatent", "PresampleSnapToBucket"),
    ),
    "0.1.0-evaluation": ("PresampleImageScore", "PresampleBeforeAfterSheet"),
}
IDS = tuple(each for ids in RELEASES.values() for each in ids)


def read(name):
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


@pytest.fixture
def definitions(nodes, comfy):
    """What the fake knows of our nodes, in the form of `/object_info`."""
    (comfy.base / "input" / "prompts.txt").write_text("1girl, sky\n\n1boy, sea\n", encoding="utf-8")
    found = {}
    for identity, node in nodes.items():
        schema = node.GET_SCHEMA()
        groups = {"required": {}, "optional": {}}
        for made in schema.inputs:
            facts = made.as_dict()
            if "force_input" in facts:
                facts["forceInput"] = facts.pop("force_input")
            groups["optional" if made.optional else "required"][made.id] = [made.kind, facts]
        found[identity] = {"input": groups}
    yield found
    (comfy.base / "input" / "prompts.txt").unlink()


@pytest.fixture(params=RELEASES)
def release(request):
    """The name of a saved workflow."""
    return request.param


@pytest.fixture
def saved(release):
    """The workflow of a release as the page saved it."""
    return read(f"comfyui-{release}.json")


@pytest.fixture
def queued(release):
    """The same as the page queued it."""
    return read(f"comfyui-{release}-api.json")


def ours(workflow):
    return [node for node in workflow["nodes"] if node["type"].startswith("Presample")]


def test_every_node_id_is_still_there(release, saved, queued, nodes):
    ids = set(RELEASES[release])
    assert {node["type"] for node in ours(saved)} == ids
    assert ids <= set(nodes)
    assert ids <= {node["class_type"] for node in queued.values()}


def test_values_by_position_are_the_values_by_name(saved, queued, definitions):
    for node in ours(saved):
        names = widgets(definitions[node["type"]])[: len(node["widgets_values"])]
        assert len(names) == len(node["widgets_values"]), node["type"]
        by_name = queued[str(node["id"])]["inputs"]
        for name, value in zip(names, node["widgets_values"], strict=True):
            if name == CONTROL:
                assert value == "fixed"
            elif not isinstance(by_name[name], list):
                assert value == by_name[name], (node["type"], name)


def test_inputs_were_only_appended(queued, definitions):
    for node in queued.values():
        if node["class_type"] in IDS:
            now = [name for name in widgets(definitions[node["class_type"]]) if name != CONTROL]
            before = [name for name in node["inputs"] if name in now]
            assert now[: len(before)] == before, node["class_type"]


def test_every_input_is_still_there_and_every_new_one_is_optional(queued, definitions):
    for node in queued.values():
        if node["class_type"] in IDS:
            definition = definitions[node["class_type"]]
            assert set(node["inputs"]) <= {name for name, *_ in inputs(definition)}
            assert set(definition["input"]["required"]) <= set(node["inputs"])


def test_every_widget_was_saved_with_a_value_that_is_not_its_default(saved, definitions):
    for node in ours(saved):
        facts = {name: facts for name, _, facts in inputs(definitions[node["type"]])}
        names = widgets(definitions[node["type"]])
        for name, value in zip(names, node["widgets_values"], strict=False):
            if name != CONTROL:
                assert value != facts[name].get("default"), (node["type"], name)


def test_every_value_is_still_allowed(queued, definitions, nodes):
    for node in queued.values():
        if node["class_type"] not in IDS:
            continue
        values = {name: v for name, v in node["inputs"].items() if not isinstance(v, list)}
        for name, kind, facts in inputs(definitions[node["class_type"]]):
            if name not in values:
                continue
            value = values[name]
            if "options" in facts and name not in ("model", "file", "encoder"):  # those are what is here
                assert value in facts["options"], name
            if kind in ("INT", "FLOAT"):
                assert facts.get("min", value) <= value <= facts.get("max", value), name
        accepted(nodes[node["class_type"]], values)


def accepted(node, values):
    """Asserts that a node's own checks accept the values."""
    if "validate_inputs" in vars(node):
        code = node.validate_inputs.__func__.__code__
        named = code.co_varnames[1 : code.co_argcount]
        assert node.validate_inputs(**{name: values[name] for name in named if name in values}) is True


def test_every_output_in_use_is_still_there(saved, nodes):
    kinds = {node["id"]: node["type"] for node in saved["nodes"]}
    schemas = {identity: node.GET_SCHEMA() for identity, node in nodes.items()}
    for _, origin, slot, _, _, kind in saved["links"]:
        if kinds[origin] in IDS:
            assert schemas[kinds[origin]].outputs[slot].kind == kind
    for node in ours(saved):
        now = [made.display_name for made in schemas[node["type"]].outputs]
        before = [made["name"] for made in node["outputs"]]
        assert now[: len(before)] == before


def test_a_saved_workflow_becomes_the_prompt_that_was_queued(saved, queued, definitions):
    stock = {kind: {"input": {}} for kind in {n["type"] for n in saved["nodes"]} - set(IDS)}
    made = to_prompt(saved, definitions | stock)
    for number, node in queued.items():
        if node["class_type"] in IDS:
            assert made[number]["inputs"] == node["inputs"]


def test_the_frozen_text_of_a_saved_node_comes_out(nodes, hidden):
    queued = read("comfyui-0.1.0-api.json")
    node = next(n for n in queued.values() if n["class_type"] == "PresampleTIPOExpand")
    values = {name: v for name, v in node["inputs"].items() if not isinstance(v, list)}
    made = nodes["PresampleTIPOExpand"].execute(prompt="1girl", **values)
    assert made.args[0] == ["1girl, lake, fog", "1girl, lake, rain"]
