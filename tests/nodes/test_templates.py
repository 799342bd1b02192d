"""Templates without a host: their links meet, and every value lies where our nodes read it and is allowed."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from workflows_for_tests import CONTROL, inputs, widgets

FOLDER = Path(__file__).parents[2] / "example_workflows"
TEMPLATES = sorted(path.stem for path in FOLDER.glob("*.json"))
WHAT_IS_HERE = ("model", "file", "encoder")  # choices that differ from machine to machine


def read(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def definitions(nodes):
    """What the fake knows of our nodes, in the form of `/object_info`."""
    found = {}
    for identity, node in nodes.items():
        groups = {"required": {}, "optional": {}}
        for made in node.GET_SCHEMA().inputs:
            facts = made.as_dict()
            if "force_input" in facts:
                facts["forceInput"] = facts.pop("force_input")
            groups["optional" if made.optional else "required"][made.id] = [made.kind, facts]
        found[identity] = {"input": groups}
    return found


@pytest.mark.parametrize("name", TEMPLATES)
def test_links_meet_on_both_ends(name):
    workflow = read(name)
    by_id = {node["id"]: node for node in workflow["nodes"]}
    assert len(by_id) == len(workflow["nodes"])
    assert workflow["last_node_id"] >= max(by_id)
    seen = {}
    for number, origin, slot, target, place, kind in workflow["links"]:
        out, into = by_id[origin]["outputs"][slot], by_id[target]["inputs"][place]
        assert number in out["links"], (name, number)
        assert into["link"] == number, (name, number)
        assert {out["type"], kind} <= {kind, "*"}
        assert into["type"] in (kind, "*")
        seen[number] = kind
    assert len(seen) == len(workflow["links"])
    for node in workflow["nodes"]:
        linked = [one["link"] for one in node["inputs"] if one["link"] is not None]
        assert set(linked) | {n for out in node["outputs"] for n in out["links"] or ()} <= set(seen)
    order = {node["id"]: node["order"] for node in workflow["nodes"]}
    assert sorted(order.values()) == list(range(len(order)))
    assert all(order[origin] < order[target] for _, origin, _, target, *_ in workflow["links"])


@pytest.mark.parametrize("name", TEMPLATES)
def test_our_nodes_know_their_inputs_outputs_and_values(name, nodes, definitions):
    for node in (node for node in read(name)["nodes"] if node["type"].startswith("Presample")):
        schema, definition = nodes[node["type"]].GET_SCHEMA(), definitions[node["type"]]
        kinds = {each: kind for each, kind, _ in inputs(definition)}
        assert {each["name"] for each in node["inputs"]} <= set(kinds)
        made = [(out["name"], out["type"]) for out in node["outputs"]]
        assert made == [(out.display_name, out.kind) for out in schema.outputs][: len(made)]
        facts = {each: facts for each, _, facts in inputs(definition)}
        places = widgets(definition)
        assert len(node["widgets_values"]) <= len(places)
        for place, value in zip(places, node["widgets_values"], strict=False):
            if place == CONTROL or place in WHAT_IS_HERE:
                continue
            told = facts[place]
            if "options" in told:
                assert value in told["options"], (name, node["type"], place)
            if kinds[place] in ("INT", "FLOAT"):
                assert told.get("min", value) <= value <= told.get("max", value), (name, place)
            if kinds[place] == "BOOLEAN":
                assert value in (True, False), (name, place)


def test_pictures_are_scored_by_the_prompt_of_the_user_and_compared_in_pairs():
    workflow = read("score_and_compare")
    by_id = {node["id"]: node for node in workflow["nodes"]}
    wired = {
        (by_id[target].get("title") or by_id[target]["type"], by_id[target]["inputs"][place]["name"]): (
            by_id[origin].get("title") or by_id[origin]["type"],
            by_id[origin]["outputs"][slot]["name"],
        )
        for _, origin, slot, target, place, _ in workflow["links"]
    }
    scores = ("scores of your prompt", "scores of the expanded")
    for node in scores:
        assert wired[node, "prompt"] == ("PresampleTIPOExpand", "user_prompt")
    for side, node in zip(("before", "after"), scores, strict=True):
        assert wired["PresampleBeforeAfterSheet", side] == (node, "images")
        assert wired["PresampleBeforeAfterSheet", f"{side}_labels"] == (node, "labels")
    samplers = [node for node in workflow["nodes"] if node["type"] == "PresampleMMHDiTSampler"]
    assert len({json.dumps(node["widgets_values"]) for node in samplers}) == 1, "the noise is the same"
    assert not any(node["widgets_values"][3] for node in by_id.values() if node.get("title") in scores)
