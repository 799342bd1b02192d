"""Every argument is in the panel, the infotext and the guide; the order of arguments never changes."""

import json
import re
from pathlib import Path

import pytest

from presample.models.options import describe
from presample.models.tipo import infotext
from presample.models.tipo.bans import compile_bans
from presample.models.tipo.options import ExpandOptions
from presample.scripts.webui import mix_values, values

GUIDE = Path(__file__).parents[2] / "docs" / "webui.md"

# The arguments of 0.1.0 by their places. New ones are appended.
ORDER = [
    "enabled",
    "prose",
    "seed",
    "seed_from",
    "batch",
    "timing",
    "model",
    "tag_length",
    "prose_length",
    "ban",
    "protect",
    "layout",
    "layout_template",
    "form",
    "regions",
    "rating",
    "meta",
    "quality",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "tag_repetition_penalty",
    "prose_repetition_penalty",
    "max_new_tokens",
    "avoid_conflicts",
    "ban_mode",
    "variety",
    "compat",
    "task",
    "chips",
]


def row(fact):
    """The line of the guide's table for an option."""
    shown = [f"`{choice}`" if choice else "nothing" for choice in fact.choices]
    bounds = (
        "" if fact.low is None else f"{fact.low:g} to {'2^53 - 1' if fact.high > 2**40 else f'{fact.high:g}'}"
    )
    kind = {bool: "true, false", str: "text"}.get(fact.type, "")
    default = (
        f"`{json.dumps(fact.default) if fact.type is bool else fact.default}`" if fact.default != "" else ""
    )
    said = fact.help.replace("|", "\\|")
    return f"| `{fact.name}` | {default} | {', '.join(shown) or bounds or kind} | {said} |"


@pytest.mark.parametrize("fact", values.facts().values(), ids=lambda fact: fact.name)
def test_the_guide_has_every_argument_as_it_is(fact):
    assert row(fact) in GUIDE.read_text(encoding="utf-8").splitlines(), f"the guide lacks: {row(fact)}"


def test_the_guide_has_no_argument_that_is_not():
    table = GUIDE.read_text(encoding="utf-8").split("## Panel and arguments")[1].split("## ")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.M) == list(values.names())


@pytest.mark.parametrize("fact", mix_values.facts().values(), ids=lambda fact: fact.name)
def test_the_guide_has_every_argument_of_a_mix_as_it_is(fact):
    text = GUIDE.read_text(encoding="utf-8").split("## Encoder Mix")[1].split("## ")[0]
    assert row(fact) in text.splitlines(), f"the guide lacks: {row(fact)}"
    assert re.findall(r"^\| `(\w+)`", text, re.M) == list(mix_values.facts())


def test_the_guides_example_of_a_mix_is_understood():
    text = GUIDE.read_text(encoding="utf-8").split("## Encoder Mix")[1].split("## ")[0]
    request = json.loads(re.search(r"```json\n(.*?)```", text, re.S)[1])
    said = mix_values.from_args(request["alwayson_scripts"]["Presample Encoder Mix"]["args"])
    assert said.slots.chosen == (("vivid.safetensors", 1.0),)
    assert said.options.w == 0.6


def test_arguments_keep_their_places():
    assert list(values.names())[: len(ORDER)] == ORDER


def test_every_option_of_an_expansion_is_an_argument_but_for_what_the_picture_says():
    options = {fact.name for fact in describe(ExpandOptions)}
    assert options - set(values.names()) == {"width", "height"}
    assert set(values.names()) - options == {
        *(fact.name for fact in describe(values.PanelOptions) if fact.name != "seed"),
        values.LAYOUT_TEMPLATE,
        values.CHIPS,
    }


def test_every_argument_but_the_tick_can_be_read_of_a_picture():
    others = {fact.name: _other(fact) for fact in values.facts().values()}
    said = values.from_names(others)
    pairs = infotext.write(said.options, "lake", prose=said.panel.prose, extras=said.extras())
    assert {name.removeprefix("Presample ").replace(" ", "_") for name in pairs if name != "Presample"} == (
        {*others, "prompt"} - {"enabled", values.LAYOUT_TEMPLATE}
    )


def _other(fact):
    if fact.name == "layout":
        return "pony"
    if fact.name == values.CHIPS:
        return '{"keep": ["night"]}'
    if fact.choices:
        return next(choice for choice in fact.choices if choice != fact.default)
    return {bool: not fact.default, str: "x", int: 20, float: 0.75}[fact.type]


def test_the_guides_example_is_understood():
    text = GUIDE.read_text(encoding="utf-8")
    request = json.loads(re.search(r"```json\n(.*?)```", text, re.S)[1])
    said = values.from_args(request["alwayson_scripts"]["Presample TIPO"]["args"])
    assert said.panel.enabled
    assert (said.keep, said.drop) == (("night sky",), ("coat",))
    assert all(compile_bans(said.options.ban).match(tag) for tag in ("boat", "sunset"))


def test_the_guide_names_the_axes_and_settings_there_are():
    from presample.scripts.webui.axes import AXES

    text = " ".join(GUIDE.read_text(encoding="utf-8").split())
    axes = [f"`{name.replace('_', ' ')}`" for name in AXES]
    assert ", ".join(["`[Presample] enabled`", *axes[1:]]) in text
