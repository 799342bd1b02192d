"""A grid's cells have what their labels say, or the grid does not begin."""

import importlib
import sys
import types
from collections import namedtuple
from copy import copy

import pytest
import torch
from mix_fake import Job, mixed, tensors
from safetensors.torch import save_file
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


# Encoder Mix

FOUR = {f"encoder_{k}": f"{name}.safetensors" for k, name in enumerate(("vivid", "soft", "dark", "old"), 1)}
FOUR |= {f"weight_{k}": k / 4 for k in range(1, 5)}
FOUR |= {"enabled": False, "negative": "own", "negative_w": 0.25, "w": 0.75, "end": 0.9}
CELLS = {  # the values of each axis, which all give other pictures
    **{f"encoder_{k}": ("new.safetensors", "none") for k in range(1, 5)},
    **{f"weight_{k}": ("0", "1.5", "-0.5") for k in range(1, 5)},
    **{"w": ("0", "0.5", "1"), "start": ("0", "0.4", "0.8"), "end": ("0.5", "1")},
    **{"negative": ("same", "original", "own"), "negative_w": ("0", "1")},
    **{"weighting": ("normalize", "raw")},
}


@pytest.fixture
def mix_axes(host, axes):
    """The axes of Encoder Mix by the names of its arguments, in a host with five tuned encoders."""
    for seed, name in ((3, "dark"), (4, "old"), (5, "new")):
        save_file(tensors(seed), host.folder / f"{name}.safetensors")
    ours = {name.removeprefix("mix "): axis for name, axis in axes.items() if name.startswith("mix ")}
    return {name.replace(" ", "_"): axis for name, axis in ours.items()}


def seen(p):
    """What the denoiser is given in all steps, and what the infotext says of it."""
    steps = [torch.cat([*p.seen(step), *p.seen(step, of="uc")]) for step in range(p.steps)]
    said = {name: text for name, text in p.extra_generation_params.items() if name.startswith("Encoder mix")}
    return torch.stack(steps), said


def mix_cells(host, axis, args, values):
    """What each cell of a grid with this axis has, made as a host does, and what a picture has behind it."""
    p = Job(host.shared, ["lake"])
    values = [axis.type(value) for value in values]
    axis.confirm(p, values)
    found = []
    for value in values:
        cell = copy(p)
        axis.apply(cell, value, values)
        host.script.process(cell, args)
        found.append(seen(cell.setup_conds()))
    host.script.process(p, args)
    return found, seen(p.setup_conds())


def test_every_argument_of_a_mix_but_its_tick_has_an_axis(mix_axes):
    assert set(mix_axes) == set(CELLS)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_the_picture_of_a_panel_that_says_the_same_and_leaves_nothing(host, mix_axes, name):
    axis, unmixed = mix_axes[name], seen(mixed(host))
    found, behind = mix_cells(host, axis, FOUR, CELLS[name])
    for value, (conds, said) in zip(CELLS[name], found, strict=True):
        wanted, told = seen(mixed(host, **{**FOUR, "enabled": True, name: axis.type(value)}))
        assert torch.equal(conds, wanted), value
        assert said == told != {}
    assert len({tuple(conds.flatten().tolist()) for conds, _ in found}) == len(found)
    assert torch.equal(behind[0], unmixed[0])
    assert behind[1] == {}


def test_two_axes_of_a_mix_meet_in_a_cell(host, mix_axes):
    p = Job(host.shared, ["lake"])
    for name, value in (("encoder_1", "soft.safetensors"), ("start", 0.0)):
        mix_axes[name].apply(p, value, [value])
    host.script.process(p, {})
    assert torch.equal(
        seen(p.setup_conds())[0], seen(mixed(host, encoder_1="soft.safetensors", start=0.0))[0]
    )


def test_what_is_to_choose_from_is_what_there_is(mix_axes):
    assert mix_axes["negative"].choices() == ["same", "original", "own"]
    assert mix_axes["weighting"].choices() == ["normalize", "raw"]
    assert {mix_axes[name].choices for name in ("weight_1", "w", "start", "end")} == {None}
    assert {axis.cost > 0 for name, axis in mix_axes.items() if name.startswith("encoder_")} == {True}


def test_an_axis_of_encoders_offers_none_and_the_files(mix_axes):
    names = ("none", "dark.safetensors", "new.safetensors", "old.safetensors", "soft.safetensors")
    assert sorted(mix_axes["encoder_4"].choices()) == sorted([*names, "vivid.safetensors"])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "encoder_2",
            "nowhere.safetensors",
            "mix encoder 2: no text encoder is called 'nowhere",
        ),
        ("encoder_1", "../text_encoder/vivid.safetensors", "no text encoder is called"),
        ("weight_3", 2.5, "mix weight 3: weight_3 must lie in -2.0 to 2.0"),
        ("w", -0.1, "w must lie in 0 to 2"),
        ("start", 1.2, "start must lie in 0 to 1"),
        ("end", -1.0, "must lie in 0 to 1"),
        ("negative_w", 3.0, "negative_w must lie in 0 to 2"),
        ("negative", "sometimes", "negative must be one of"),
        ("weighting", "heavy", "weighting must be one of"),
    ],
)
def test_a_mix_that_cannot_be_is_refused_before_anything_is_made(mix_axes, name, value, said):
    good = mix_axes[name].type(CELLS[name][0])
    mix_axes[name].confirm(Processing("lake"), [good])
    with pytest.raises(RuntimeError, match=said):
        mix_axes[name].confirm(Processing("lake"), [good, value])
