"""An option says the same wherever it is asked for: as a flag, as a node's widget, as a WebUI's."""

import argparse
import importlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from nodes_for_tests import by_id, loaded_nodes

from presample.models.mmh_dit.flow import SampleOptions
from presample.models.options import CUSTOM, TEMPLATE, Option, describe, template_of
from presample.models.textcraftor.options import MixOptions
from presample.models.tinyworld.pipeline import TinyOptions
from presample.models.tipo.options import ExpandOptions

ROOT = Path(__file__).parents[1]
ROOMS = ("models/cli", "nodes", "scripts/webui")


@dataclass(frozen=True)
class Surface:
    """Where options are asked for; `without` are asked for elsewhere there, or come with the host's job."""

    options: type
    place: str
    without: tuple[str, ...] = ()
    own: tuple[str, ...] = ()  # with help and choices of its own

    def wanted(self) -> list[Option]:
        """Returns the options as they should be shown."""
        return [fact for fact in describe(self.options) if fact.name not in self.without]


FLAGS = (
    Surface(ExpandOptions, "expand"),
    Surface(MixOptions, "mix"),
    Surface(TinyOptions, "mix", without=("denoise", "icfm_sigma")),
    Surface(TinyOptions, "sample", without=("denoise", "icfm_sigma")),
)
WIDGETS = (
    Surface(ExpandOptions, "PresampleTIPOExpand", own=("model",)),
    Surface(MixOptions, "PresampleEncoderInterpolate", without=("weighting",)),
    Surface(MixOptions, "PresampleMixSweep", without=("w", "weighting")),
    Surface(MixOptions, "PresampleEncoderMix", without=("w", "start", "end", "negative", "negative_w")),
    Surface(SampleOptions, "PresampleMMHDiTSampler"),
)
PANELS = (
    Surface(ExpandOptions, "values", without=("seed", "width", "height")),
    Surface(MixOptions, "mix_values"),
)
# Of a picture to paint over, and of the first noise: no command asks. What an image says: no panel does.
NOWHERE = {"denoise", "icfm_sigma", "seed", "width", "height"}


def with_custom(presets):
    return (*presets, CUSTOM) if presets else ()


def cases(surfaces):
    found = [(surface, fact) for surface in surfaces for fact in surface.wanted()]
    names = [f"{surface.place}-{fact.name}" for surface, fact in found]
    return pytest.mark.parametrize(("surface", "fact"), found, ids=names)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with loaded_nodes(tmp_path_factory.mktemp("comfyui")) as loaded:
        yield by_id(loaded)


def flags_of(command):
    module = importlib.import_module(f"presample.models.cli.{command}")
    parser = module.add_parser(argparse.ArgumentParser().add_subparsers())
    return {text: action for action in parser._actions for text in action.option_strings}


@cases(FLAGS)
def test_every_option_is_a_flag_with_its_default_choices_bounds_and_help(surface, fact):
    flag = flags_of(surface.place)["--" + fact.name.replace("_", "-")]
    said = flag.help.replace("%%", "%")
    assert flag.default == fact.default or fact.type is tuple
    assert tuple(flag.choices or ()) == fact.choices
    assert said.startswith(fact.help)
    assert all(preset in said for preset in fact.presets)
    assert fact.low is None or fact.high >= 2**31 or f"({fact.low:g} to {fact.high:g})" in said


@cases(WIDGETS)
def test_every_option_is_a_widget_with_its_default_choices_bounds_and_help(surface, fact, nodes):
    found = {each.id: each for each in nodes[surface.place].GET_SCHEMA().inputs}[fact.name].as_dict()
    assert found["default"] == fact.default
    assert found.get("multiline", False) == (fact.multiline and not fact.presets)
    if fact.low is not None:
        assert (found["min"], found["max"], found.get("step")) == (fact.low, fact.high, fact.step)
    if fact.name not in surface.own:
        assert found["tooltip"] == fact.help
        assert found.get("advanced", False) == fact.advanced
        assert tuple(found.get("options", ())) == (fact.choices or with_custom(fact.presets))


@cases(PANELS)
def test_every_option_is_an_argument_of_a_panel_as_it_is(surface, fact):
    found = importlib.import_module(f"presample.scripts.webui.{surface.place}").facts()[fact.name]
    assert replace(found, choices=fact.choices) == fact
    assert found.choices == (fact.choices or with_custom(fact.presets))


@pytest.mark.parametrize(
    "fact", [fact for fact in describe(ExpandOptions) if fact.presets], ids=lambda f: f.name
)
def test_a_template_is_asked_for_in_the_same_words_everywhere(fact, nodes):
    wanted = template_of(fact)
    inputs = nodes["PresampleTIPOExpand"].GET_SCHEMA().inputs
    found = {each.id: each for each in inputs}[wanted.name].as_dict()
    assert (found["tooltip"], found["multiline"], found["default"]) == (wanted.help, True, "")
    values = importlib.import_module("presample.scripts.webui.values")
    assert values.facts()[wanted.name] == wanted


def test_the_page_of_comfyui_knows_templates_by_the_same_names():
    page = (ROOT / "javascript/comfyui/host.mjs").read_text("utf-8")
    assert re.findall(r'^const (CUSTOM|TEMPLATE) = "(\w+)";', page, re.M) == [
        ("CUSTOM", CUSTOM),
        ("TEMPLATE", TEMPLATE),
    ]


def test_every_option_of_a_class_is_asked_for_in_every_room_that_has_it():
    for surfaces in (FLAGS, WIDGETS, PANELS):
        for options in {surface.options for surface in surfaces}:
            left = [set(surface.without) for surface in surfaces if surface.options is options]
            assert set.intersection(*left) <= NOWHERE, options


def test_every_class_of_options_that_two_rooms_know_is_compared():
    text = {room: "".join(p.read_text("utf-8") for p in (ROOT / room).glob("*.py")) for room in ROOMS}
    names = {room: set(re.findall(r"\b[A-Z]\w*Options\b", said)) for room, said in text.items()}
    known = [name for room in ROOMS for name in names[room]]
    compared = {kind.__name__ for s in (*FLAGS, *WIDGETS, *PANELS) for kind in s.options.__mro__}
    assert {name for name in known if known.count(name) > 1} <= compared
