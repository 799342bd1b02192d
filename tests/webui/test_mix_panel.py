"""Encoder Mix's panel as gradio builds it, and what an infotext says of it, there and back."""

import importlib
import importlib.util

import pytest
from host_infotext import Rules, write
from hypothesis import given, settings, strategies

from presample.models.textcraftor.options import MixOptions
from presample.scripts.webui import mix_values
from presample.scripts.webui.mix_values import NONE, MixValues, Slots

# Hosts hand arguments over by their place: names are only ever added at the end.
ORDER = ["enabled", *(f"{name}_{k}" for k in range(1, 5) for name in ("encoder", "weight"))]
ORDER += ["w", "start", "end", "negative", "negative_w", "weighting"]

GRADIO = importlib.util.find_spec("gradio")  # before a fake host puts an empty one in place
NAMES = strategies.sampled_from(
    [NONE, "vivid.safetensors", "a, b: c.pth", '"x".pth', "512x512", "True", "ü/é.pth"]
)
WEIGHTS = strategies.floats(-2, 2).map(lambda value: round(value, 3))
SHARE = strategies.floats(0, 1).map(lambda value: round(value, 3))


@strategies.composite
def values(draw):
    slots = {name: draw(WEIGHTS if "weight" in name else NAMES) for name in ORDER[1:9]}
    for k in range(1, 5):  # what no encoder has is not said
        if slots[f"encoder_{k}"] == NONE:
            slots[f"weight_{k}"] = 1.0
    start, end = sorted((draw(SHARE), draw(SHARE)))
    negative = draw(strategies.sampled_from(["same", "original", "own"]))
    weighting = draw(strategies.sampled_from(["normalize", "raw"]))
    options = MixOptions(draw(SHARE), start, end, negative, draw(SHARE), weighting)
    return MixValues(Slots(enabled=True, **slots), options)


@settings(deadline=None, max_examples=60)
@given(values())
def test_what_a_picture_says_of_a_mix_comes_back_as_it_was(said):
    host = Rules()
    pairs = host.read(write(host, "lake", mix_values.write(said)))
    assert mix_values.from_names(mix_values.read(pairs)) == said


def test_an_infotext_may_come_from_anyone():
    pairs = {"Encoder mix": "?", "Encoder mix w": "9", "Encoder mix start": "0.9", "Encoder mix end": "0.2"}
    pairs |= {"Encoder mix weighting": "evil", "Encoder mix weight 1": "many", "Encoder mix 1": "x"}
    found = mix_values.read(pairs)
    assert mix_values.from_names(found).options == MixOptions()
    assert (found["encoder_1"], found["weight_1"]) == ("x", 1.0)
    assert mix_values.read({"Steps": "20"}) is None


def test_arguments_keep_their_places():
    assert list(mix_values.facts())[: len(ORDER)] == ORDER


@pytest.fixture
def build(shared, monkeypatch, tmp_path):
    """Builds the panels of both tabs, TIPO's too; gives the scripts of txt2img, and all components."""
    if not GRADIO:
        pytest.skip("the panel needs gradio; `make webui` has it")
    import gradio as gr
    import gradio_host

    gradio_host.install(str(tmp_path), patch=monkeypatch)
    folder = tmp_path / "text_encoder"
    folder.mkdir()
    (folder / "vivid.safetensors").write_bytes(b"")
    mix = importlib.import_module("presample.scripts.webui.mix").PresampleEncoderMix
    tipo = importlib.import_module("presample.scripts.webui.tipo").PresampleTIPO
    scripts = []
    with gr.Blocks() as demo:
        for is_img2img in (False, True):
            for kind in (mix, tipo):
                script = kind()
                script.is_img2img = is_img2img
                script.arguments = script.ui(is_img2img)
                scripts.append(script)
    return scripts[:2], demo


def test_widgets_stand_at_the_options_own_defaults_and_types(build):
    (script, _), _ = build
    for widget, (name, fact) in zip(script.arguments, mix_values.facts().items(), strict=True):
        assert (type(widget.value), widget.value) == (type(fact.default), fact.default), name
    assert mix_values.from_args([widget.value for widget in script.arguments]) == MixValues()


def test_labels_are_unique_in_all_our_panels_and_ids_on_the_page(build):
    """Hosts keep the user's defaults by the script's file and these labels."""
    scripts, demo = build
    labels = [widget.label for script in scripts for widget in script.arguments]
    assert len(set(labels)) == len(labels)
    ids = [block.elem_id for block in demo.blocks.values() if getattr(block, "elem_id", None)]
    assert len(set(ids)) == len(ids)


def test_slots_appear_as_they_are_used(build):
    from presample.scripts.webui.mix_panel import _listed, _shown

    def visible(*chosen):
        return [update["visible"] for update in _shown(*chosen)]

    assert visible(NONE, NONE, NONE, NONE) == [True, False, False, False]
    assert visible("x", NONE, NONE, NONE) == [True, True, False, False]
    assert visible("x", "y", NONE, NONE) == [True, True, True, False]
    assert visible("x", NONE, NONE, "y") == [True] * 4
    assert [update["choices"] for update in _listed()] == [[NONE, "vivid.safetensors"]] * 4


def test_slots_that_a_user_has_saved_are_there_from_the_beginning(build):
    """Hosts set the value, and then call what a dropdown has for it."""
    (script, _), _ = build
    widgets, seen = script.panel.widgets, []
    rows = [widgets[f"weight_{k}"].parent.parent for k in range(1, 5)]
    for k in (1, 2):
        slot = widgets[f"encoder_{k}"]
        slot.value = "vivid.safetensors"
        slot.init_field(slot.value)
        seen.append([row.get_config()["visible"] for row in rows])
    assert seen == [[True, True, False, False], [True, True, True, False]]
    assert all(widgets[f"weight_{k}"].visible for k in range(1, 5))


def test_a_weight_that_a_user_has_saved_as_a_whole_number_keeps_the_decimals_of_an_api(build):
    (script, _), _ = build
    slider = script.panel.widgets["w"]
    slider.value = 1
    get = next(get for widget, get in script.infotext_fields if widget is slider)
    said = get(mix_values.write(mix_values.from_args([True, "vivid.safetensors"], {"w": 0.25})))
    assert type(slider.value)(said) == 0.25


def test_pasting_sets_plain_values_and_unticks_what_was_not_mixed(build):
    (script, _), _ = build
    said = mix_values.from_args([True, "vivid.safetensors", 0.5], {"w": 0.25, "encoder_2": "not here.pth"})
    got = [get(mix_values.write(said)) for _, get in script.infotext_fields]
    assert got == [said.said(name) for name in ORDER]
    assert [get({"Steps": "20"}) for _, get in script.infotext_fields] == [False, *[None] * 14]
