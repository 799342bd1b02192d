"""A pasted infotext restores either this exact picture or what it was made from."""

import importlib
import sys

import pytest
from webui_fake import Styles

from presample.models.tipo.infotext import write
from presample.models.tipo.options import ExpandOptions

ONWARD = "go on generating"


@pytest.fixture
def restore(shared):
    callbacks = importlib.import_module("presample.scripts.webui.callbacks")
    callbacks.register()
    registered = sys.modules["modules.script_callbacks"].registered
    registered["before_ui"]()
    return registered["infotext_pasted"]


def pasted(prompt, *, original, negative="", styles=None, **extras):
    pairs = {"Prompt": prompt, "Negative prompt": negative}
    pairs |= write(ExpandOptions(), original, extras=extras)
    return pairs if styles is None else pairs | {"Styles array": styles}


def test_registering_adds_the_settings(restore, shared):
    names = {name: info.default for name, info in shared.opts.labels.items()}
    assert names == {
        "presample_folder": "",
        "presample_encoders": "",
        "presample_keep": True,
        "presample_device": "cpu",
        "presample_hide_prose": False,
        "presample_buckets": True,
        "presample_paste": "this exact picture",
    }
    assert {info.section for info in shared.opts.labels.values()} == {("presample", "Presample")}


def test_another_picture_is_left_alone(restore):
    pairs = {"Prompt": "lake", "Styles array": ["x"]}
    restore("", pairs)
    assert pairs == {"Prompt": "lake", "Styles array": ["x"]}


def test_the_exact_picture_has_its_own_prompt_and_no_style_on_top(restore):
    pairs = pasted("lake, night, moon", original="lake, night")
    restore("", pairs)
    assert pairs["Prompt"] == "lake, night, moon"
    assert pairs["Styles array"] == []


def test_the_exact_picture_keeps_a_style_that_the_host_found_and_took_out(restore):
    pairs = pasted("moon, lake", original="lake, night", styles=["dark"])
    restore("", pairs)
    assert (pairs["Prompt"], pairs["Styles array"]) == ("moon, lake", ["dark"])


@pytest.mark.parametrize("where", ["setting", "infotext"])
def test_going_on_has_the_original_prompt_without_the_text_of_its_styles(restore, shared, where):
    shared.prompt_styles = Styles(dark=("night", "day"))
    pairs = pasted("lake, night, moon", original="lake, night", negative="bad, day")
    if where == "setting":
        shared.opts.presample_paste = ONWARD
    else:
        pairs["Presample restore"] = "original"
    restore("", pairs)
    assert pairs["Prompt"] == "lake"
    assert pairs["Negative prompt"] == "bad"
    assert pairs["Styles array"] == ["dark"]


def test_going_on_finds_the_styles_again_that_the_host_took_out(restore, shared):
    """With additions in front the style is at the end, where hosts find it, and its negative part with it."""
    shared.prompt_styles = Styles(dark=("night", "day"))
    shared.opts.presample_paste = ONWARD
    pairs = pasted("moon, lake", original="lake, night", negative="bad", styles=["dark"])
    restore("", pairs)
    assert (pairs["Prompt"], pairs["Negative prompt"]) == ("lake", "bad")
    assert pairs["Styles array"] == ["dark"]


def test_what_was_expanded_before_styles_keeps_what_the_host_found(restore, shared):
    shared.opts.presample_paste = ONWARD
    shared.prompt_styles = Styles(dark="night")
    pairs = pasted("lake, moon", original="lake", styles=["dark"], timing="before")
    restore("", pairs)
    assert (pairs["Prompt"], pairs["Styles array"]) == ("lake", ["dark"])


@pytest.mark.parametrize("how", ["Ignore", "Discard"])
def test_styles_are_left_alone_where_the_host_is_told_to(restore, shared, how):
    shared.opts.infotext_styles = how
    pairs = pasted("lake, night, moon", original="lake, night")
    restore("", pairs)
    assert "Styles array" not in pairs


def test_a_picture_of_z_tipo_extension_goes_on_with_its_prompt(restore, shared):
    shared.opts.presample_paste = ONWARD
    pairs = {"Prompt": "1girl, tree", "TIPO Parameters": "{'seed': 5}", "TIPO prompt": "1girl"}
    restore("", pairs)
    assert pairs["Prompt"] == "1girl"
