"""The panel as gradio builds it, whichever is there: `make webui` has those of WebUIs, 3.41 and 4.40."""

import importlib
import re

import pytest

gradio = pytest.importorskip("gradio", reason="the panel needs gradio; `make webui` has it")

KGENS = "TIPO-500M-ft_TIPO-500M-ft-F16.gguf"
MISSING = "TIPO-100M (not downloaded, 202 MB, Apache-2.0)"

BEFORE = {"Presample": "TIPO 1", "Presample prompt": "lake, night"}

# Hosts hand arguments over by their place: names are only ever added at the end.
ORDER = re.findall(
    r"\w+",
    """
enabled prose seed seed_from batch timing
model tag_length prose_length ban protect layout layout_template form regions rating meta quality
temperature top_k top_p min_p tag_repetition_penalty prose_repetition_penalty max_new_tokens
avoid_conflicts ban_mode variety compat task chips
""",
)


@pytest.fixture
def build(shared, monkeypatch):
    """Builds the panels of both tabs; gives the panel of txt2img, and all components."""
    import gradio_host

    def make(*, sizes_last=False, **settings):
        gradio_host.install(patch=monkeypatch, **settings)
        module = importlib.import_module("presample.scripts.webui.tipo")
        panels = []
        with gradio.Blocks() as demo:
            for tab in ("txt2img", "img2img"):
                script = module.PresampleTIPO()
                script.is_img2img = tab == "img2img"
                box = gradio.Textbox(label="Prompt", elem_id=f"{tab}_prompt")
                script.after_component(box, elem_id=f"{tab}_prompt")
                script.arguments = script.ui(script.is_img2img) if sizes_last else None
                for name in ("width", "height"):
                    size = gradio.Slider(64, 2048, 512, label=name, elem_id=f"{tab}_{name}")
                    script.after_component(size, elem_id=f"{tab}_{name}")
                script.arguments = script.arguments or script.ui(script.is_img2img)
                panels.append(script)
        return panels, demo

    return make


def test_the_arguments_have_their_places_for_ever(build):
    from presample.scripts.webui import values

    (script, _), _ = build()
    assert list(values.names()) == ORDER
    places = [f"txt2img_presample_{name}" for name in ORDER[1:]]
    assert [widget.elem_id for widget in script.arguments[1:]] == places
    assert script.arguments[0].elem_id == "txt2img_presample_tipo-checkbox"


@pytest.mark.parametrize("sizes_last", [False, True])
def test_the_buttons_know_the_sizes_wherever_the_user_has_put_the_panel(build, sizes_last):
    scripts, demo = build(sizes_last=sizes_last)
    listeners = demo.get_config_file()["dependencies"]
    for script in scripts:
        sizes = [script.sizes[name]._id for name in ("width", "height")]
        for button in (script.panel.generate, script.panel.reroll, script.panel.vary):
            targets = (button._id, [button._id, "click"], (button._id, "click"))  # as gradios have it
            (inputs,) = (
                one["inputs"]
                for one in listeners
                if one["inputs"] and any(target in one["targets"] for target in targets)
            )
            assert inputs[3:5] == sizes


def test_labels_and_ids_are_unique(build):
    scripts, demo = build()
    for script in scripts:
        labels = [widget.label for widget in script.arguments]
        assert len(set(labels)) == len(labels)
        assert all(labels)
    ids = [block.elem_id for block in demo.blocks.values() if getattr(block, "elem_id", None)]
    assert len(set(ids)) == len(ids)


def test_widgets_stand_at_the_options_own_defaults_and_types(build):
    """An API's values are cast to the type of a widget's value: a float slider at an int would lose 0.25."""
    from presample.scripts.webui import values

    (script, _), _ = build()
    defaults = {name: fact.default for name, fact in values.facts().items()}
    for widget, (name, default) in zip(script.arguments, defaults.items(), strict=True):
        assert (type(widget.value), widget.value) == (type(default), default), name
    assert values.from_args([widget.value for widget in script.arguments]) == values.Values()


def test_a_default_that_a_user_has_saved_as_a_whole_number_keeps_the_decimals_of_an_api(build):
    (script, _), _ = build()
    slider = script.panel.widgets["temperature"]
    slider.value = 1
    get = next(get for widget, get in script.infotext_fields if widget is slider)
    said = get({"Presample": "TIPO 1", "Presample temperature": "0.25"})
    assert type(slider.value)(said) == 0.25


def test_a_saved_layout_of_ones_own_shows_its_template(build):
    (script, other), _ = build()
    for chosen, visible in (("custom", True), ("tags", False)):
        layout = script.panel.widgets["layout"]
        layout.value = chosen
        layout.init_field(chosen)
        assert script.panel.widgets["layout_template"].get_config()["visible"] is visible
    assert not other.panel.widgets["layout_template"].visible


@pytest.mark.parametrize("hidden", [False, True])
def test_the_box_for_natural_language_is_found_by_completion_and_can_be_hidden(build, hidden):
    (script, _), _ = build(hide_prose=hidden)
    assert "prompt" in script.panel.widgets["prose"].elem_classes
    assert script.panel.widgets["prose"].visible != hidden
    assert len(script.arguments) == len(ORDER)


def test_nothing_gets_into_a_box_that_is_hidden(build):
    (script, _), _ = build(hide_prose=True)
    box = script.panel.widgets["prose"]
    assert box.do_not_save_to_config
    get = next(get for widget, get in script.infotext_fields if widget is box)
    assert get({"Presample": "TIPO 1", "Presample prose": "a lake"}) is None


def test_what_the_page_and_the_server_say_to_each_other_is_no_users_default(build):
    (script, _), _ = build()
    panel = script.panel
    for hidden in (panel.result, panel.place, panel.widgets["chips"]):
        assert hidden.do_not_save_to_config
        assert not hidden.visible


def test_a_pasted_infotext_sets_plain_values(build):
    from presample.models.tipo.infotext import write
    from presample.models.tipo.options import ExpandOptions

    (script, _), _ = build()
    chips = '{"keep": ["boat, red"], "ban": []}'
    pairs = write(ExpandOptions(seed=7, ban="x\ny", layout="<|tags|>"), "lake", extras={"chips": chips})
    names = {id(widget): name for name, widget in script.panel.widgets.items()}
    got = {names.get(id(widget)): get(pairs) for widget, get in script.infotext_fields}
    assert got["seed"] == 7
    assert got["ban"] == "x\ny"
    assert (got["layout"], got["layout_template"]) == ("custom", "<|tags|>")
    assert got["chips"] == chips
    assert got["temperature"] == 0.5
    assert not any(isinstance(value, dict) for value in got.values())
    assert all(get({}) in (None, False) for _, get in script.infotext_fields)


@pytest.mark.parametrize(
    ("said", "chosen"),
    [
        ("tipo-tiny", "tipo-tiny"),
        (KGENS, KGENS),
        ("TIPO-500M-ft", KGENS),
        ("kblueleaf/tipo-500m-ft", KGENS),
        ("KBlueLeaf/TIPO-500M-ft | TIPO-500M-ft-F16.gguf", KGENS),
        ("TIPO-100M", MISSING),
        ("KBlueLeaf/TIPO-100M | TIPO-100M-F16.gguf", MISSING),
        ("TIPO-100M_TIPO-100M-F16.gguf", MISSING),  # a file of another machine
        ("TIPO-100M-mine-Q8_0.gguf", None),
        ("nobody", None),
        ("../secret.gguf", None),
        ("../TIPO-500M-ft/../secret.gguf", None),
        ("", None),
    ],
)
def test_a_pasted_model_is_the_same_of_the_list_whatever_it_is_called_there(
    build, tmp_path, monkeypatch, said, chosen
):
    from presample.models.tipo.choices import model_name
    from presample.models.tipo.infotext import write
    from presample.models.tipo.options import ExpandOptions

    monkeypatch.setenv("PRESAMPLE_MODELS", "/nowhere")
    monkeypatch.setenv("HF_HOME", "/nowhere")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / KGENS).write_bytes(b"1")
    (tmp_path / "secret.gguf").write_bytes(b"1")
    (script, _), _ = build(folder=str(tmp_path / "models"))
    model = script.panel.widgets["model"]
    get = next(get for widget, get in script.infotext_fields if widget is model)
    listed = [choice[0] if isinstance(choice, tuple) else choice for choice in model.choices]
    assert get(write(ExpandOptions(model=model_name(said)), "lake")) == chosen
    assert get({"TIPO Parameters": str({"model": said})}) == chosen
    assert chosen is None or chosen in listed


@pytest.mark.parametrize(
    ("paste", "pairs", "ticked"),
    [
        ("this exact picture", {"Presample": "TIPO 1"}, False),
        ("this exact picture", {"Steps": "20"}, False),
        ("this exact picture", BEFORE | {"Prompt": "lake, night, moon"}, False),
        ("this exact picture", BEFORE | {"Prompt": "lake, # a note\nnight"}, True),  # reForge saves comments
        ("this exact picture", {"Prompt": "lake", "TIPO Parameters": "{}", "TIPO prompt": "lake"}, False),
        ("go on generating", {"Presample": "TIPO 1"}, True),
        ("go on generating", {"Steps": "20"}, None),  # says nothing of it: it stays as it is
    ],
)
def test_pasting_ticks_or_unticks_the_panel(build, paste, pairs, ticked):
    (script, _), _ = build(paste=paste)
    (enabled, *_) = script.infotext_fields
    assert enabled[1](pairs) is ticked
