"""Workflows that pictures carry: every value lies where the node of that type reads it."""

import pytest

from presample.models.workflow import PLACES, filled, read_template

OF_COMFYUI = ("EmptySD3LatentImage",)  # its places are checked where templates run in the real one


def test_every_place_is_that_of_the_nodes_own_input(nodes):
    for kind, places in PLACES.items():
        if kind in OF_COMFYUI:
            continue
        names = []
        for made in nodes[kind].GET_SCHEMA().inputs:
            if made.kind in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "PRESAMPLE_CHIPS"):
                names += [made.id, "control"] if made.as_dict().get("control_after_generate") else [made.id]
        assert {name: names.index(name) for name in places} == dict(places)


def test_all_nodes_of_a_type_are_filled_and_the_template_stays_as_it_is():
    template = read_template("tipo_to_pictures")
    made = filled(template, {"PresampleMMHDiTSampler": {"steps": 9}})
    steps = [n["widgets_values"][2] for n in made["nodes"] if n["type"] == "PresampleMMHDiTSampler"]
    assert steps == [9, 9]
    assert template == read_template("tipo_to_pictures")


def test_an_unknown_value_has_no_place():
    with pytest.raises(KeyError):
        filled(read_template("tipo_to_pictures"), {"PresampleTIPOExpand": {"colour": 1}})


def test_an_installation_without_templates_has_none():
    assert read_template("no_such_template") is None
