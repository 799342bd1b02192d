"""A grid's cells have what their labels say, or the grid does not begin."""

import importlib
import sys
import types
from collections import namedtuple
from copy import copy

import pytest
from webui_fake import Processing

OFF = {"enabled": False, "tag_length": "very_short", "prose_length": "none", "seed": 5}

AxisOption = namedtuple("AxisOption", "label type apply confirm choices cost")


def axis_option(label, type, apply, format_value=None, confirm=None, cost=0.0, choices=None):
    return AxisOption(label, type, apply, confirm, choices, cost)


@pytest.fixture
def axes(shared):
    """The axes by their labels, in a grid that has one of its own; they are added twice, as by Reload UI."""
    grid = types.SimpleNamespace(AxisOption=axis_option, axis_options=[axis_option("Steps", int, None)])
    script_class = type("Script", (), {"__module__": "xyz_grid.py"})
    other = types.SimpleNamespace(script_class=type("Other", (), {}), module=None)
    found = types.SimpleNamespace(script_class=script_class, module=grid)
    sys.modules["modules.scripts"].scripts_data[:] = [other, found]
    module = importlib.import_module("presample.scripts.webui.axes")
    module.add_axes()
    module.add_axes()
    labels = [axis.label for axis in grid.axis_options]
    assert len(set(labels)) == len(labels)
    return {axis.label.removeprefix("[Presample] "): axis for axis in grid.axis_options}


def plot(script, axes, args, *columns):
    """The cells of a grid of these axes and values, made as a host does, and what their infotexts say."""
    p = Processing("lake")
    script.setup(p, args)
    chosen = [(axes[name], [axes[name].type(value) for value in values]) for name, values in columns]
    for axis, values in chosen:
        axis.confirm(p, values)
    cells = [[]]
    for axis, values in chosen:
        cells = [[*cell, (axis, value, values)] for cell in cells for value in values]
    for cell in cells:
        one = copy(p)
        for axis, value, values in cell:
            axis.apply(one, value, values)
        yield one.again(script, args), dict(one.extra_generation_params)


def test_there_are_axes_for_what_one_compares(axes):
    assert {"seed", "temperature", "tag length", "prose length", "model", "enabled"} <= set(axes)
    assert axes["tag length"].choices() == ["none", "very_short", "short", "long", "very_long"]
    assert "custom" not in axes["layout"].choices()
    assert "tipo-tiny" in axes["model"].choices()


def test_every_cell_has_what_its_label_says_although_expansion_is_not_ticked(script, axes):
    columns = ("temperature", ["0", "1.9"]), ("tag length", ["none", "very_short"])
    said = [pairs for _, pairs in plot(script, axes, OFF, *columns)]
    assert [pairs["Presample temperature"] for pairs in said] == ["0.0", "0.0", "1.9", "1.9"]
    assert [pairs["Presample tag length"] for pairs in said] == ["none", "very_short"] * 2


@pytest.mark.parametrize("first", [True, False])
def test_the_axis_for_on_and_off_has_the_last_word(script, axes, first):
    columns = [("enabled", ["True", "False"]), ("temperature", ["0", "1"])]
    cells = list(plot(script, axes, OFF, *(columns if first else columns[::-1])))
    expanded = sorted(p.all_prompts != ["lake"] for p, _ in cells)
    assert expanded == [False, False, True, True]


def test_seeds_are_those_of_the_labels_even_where_images_have_theirs(script, axes):
    args = {**OFF, "seed_from": "image"}
    said = [pairs["Presample seed"] for _, pairs in plot(script, axes, args, ("seed", ["3", "4"]))]
    assert said == ["3", "4"]


def test_a_random_seed_is_drawn_before_it_is_written_on_the_plot(axes):
    values = [-1, 5, -1]
    axes["seed"].confirm(Processing("lake"), values)
    assert values[1] == 5
    assert -1 not in values
    assert values[0] != values[2]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("temperature", 5.0, "temperature must lie in"),
        ("seed", -3, "seed must lie in"),
        ("tag length", "endless", "tag_length must be one of"),
        ("enabled", "perhaps", "enabled must be bool"),
        ("model", "no such model", "no model named"),
        ("layout", "no placeholder", "layout"),
    ],
)
def test_a_value_that_cannot_be_is_refused_before_anything_is_made(axes, name, value, said):
    with pytest.raises(RuntimeError, match=said):
        axes[name].confirm(Processing("lake"), [value])


def test_a_model_is_found_by_what_its_list_shows(axes, script):
    shown = axes["model"].choices()[0]
    ((_, said),) = plot(script, axes, OFF, ("model", [shown]))
    assert said["Presample model"] == "tipo-tiny"
