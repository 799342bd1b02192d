"""From any prompt to a picture's infotext and back: nothing is lost, by the host's own rules of quoting."""

import os
import re

import pytest
from grammar_for_tests import ANY
from host_infotext import Checkout, Rules, write
from hypothesis import HealthCheck, given, settings, strategies
from webui_fake import Processing

from presample.models.options import CUSTOM
from presample.models.prompt.document import read as read_document
from presample.models.tipo import infotext
from presample.scripts.webui import values

CHECKOUT = os.environ.get("WEBUI_PATH")
QUICK = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
ODD = strategies.sampled_from(
    [
        "512x512",
        '"a", b',
        "a, b: c",
        "x\ny",
        "(a:1.2)",
        "True",
        "",
        " ",
        '{"text": 1}',
        "Steps: 1, Seed: 2",
        "C:\\x",
    ]
)
TEXTS = ODD | ANY


@pytest.fixture(params=["rules", "checkout"])
def host(request):
    if request.param == "rules":
        return Rules()
    if not CHECKOUT:
        pytest.skip("WEBUI_PATH names no checkout of a WebUI")
    return Checkout(CHECKOUT)


def is_expanded(original, result):
    """Whether the result is the original with one piece of text put into each part, and nothing else."""
    pattern = ""
    for part in read_document(original, comments="webui").parts:
        if isinstance(part, str):
            pattern += re.escape(part)
        else:
            cuts = range(len(part.text) + 1)
            ways = (re.escape(part.text[:i]) + ".*?" + re.escape(part.text[i:]) for i in cuts)
            pattern += f"(?:{'|'.join(ways)})"
    return re.fullmatch(pattern, result, re.DOTALL) is not None


def test_the_check_below_sees_what_is_lost_or_changed():
    assert is_expanded("lake BREAK (city:1.2)", "lake, night BREAK (city:1.2), day")
    assert not is_expanded("lake BREAK (city:1.2)", "lake, night BREAK (city:1.20), day")
    assert not is_expanded("lake  BREAK city", "lake, night BREAK city, day")
    assert not is_expanded("lake, ,", "lake, night")


@QUICK
@given(prompt=TEXTS, ban=ODD, seed=strategies.integers(0, 2**40))
def test_taking_the_additions_away_gives_the_prompt_back(host, script, prompt, ban, seed):
    args = {"enabled": True, "tag_length": "very_short", "prose_length": "none", "max_new_tokens": 16}
    args |= {"seed": seed, "ban": ban}
    script.memory.texts.clear()
    p = Processing(prompt, batch_size=1).run(script, args)
    assert not p.comments, p.comments
    (pairs,) = p.infotexts(script, args)
    result = pairs.pop("Prompt")
    assert is_expanded(prompt, result)
    said = infotext.read(host.read(write(host, "x", pairs)))
    assert said.prompt == prompt
    shown = values.widget_values(said)
    assert (shown["ban"], shown["seed"]) == (ban, seed)
    script.memory.texts.clear()
    again = Processing(said.prompt).run(script, {"enabled": True, **shown, "model": "tipo-tiny"})
    assert again.all_prompts == [result]


@pytest.mark.parametrize(
    ("args", "how"),
    [({"batch": "same"}, {}), ({"timing": "before"}, {}), ({}, {}), ({}, {"subseed_strength": 0.5})],
)
def test_a_pasted_picture_makes_its_own_text_again_wherever_that_has_its_seed_from(host, script, args, how):
    args = {"enabled": True, "tag_length": "short", "temperature": 1.5, "seed_from": "image", **args}
    p = Processing("lake", batch_size=3, **how).run(script, args)
    said = p.infotexts(script, args)[2] | {"Seed": str(p.all_seeds[2])}
    if how:
        said |= {"Variation seed": str(p.all_subseeds[2]), "Variation seed strength": "0.5"}
    shown = values.widget_values(infotext.read(said), values.image_seed(said))
    script.memory.texts.clear()
    picture = {"seed": p.all_seeds[2], "subseed": p.all_subseeds[2], **how}
    again = Processing("lake", **picture).run(script, {"enabled": True, **shown, "model": "tipo-tiny"})
    assert again.all_prompts == p.all_prompts[2:]
    assert shown["seed_from"] == ("own" if args.keys() & {"batch", "timing"} else "image")


@QUICK
@given(texts=strategies.lists(TEXTS, min_size=2, max_size=3))
def test_every_option_comes_back_as_the_argument_that_it_was(host, texts):
    given = {fact.name: _other(fact, texts) for fact in values.facts().values()}
    said = values.from_names(given)
    options = said.options
    pairs = infotext.write(options, texts[0], prose=said.panel.prose, extras=said.extras())
    record = infotext.read(host.read(write(host, "x", pairs)))
    shown = values.widget_values(record)
    own = ("enabled", "seed")  # pasting sets one, and the expansion's seed is the other
    assert {name: shown[name] for name in given if name not in own} == {
        name: value for name, value in given.items() if name not in own
    }


def _other(fact, texts):
    named = {
        "layout": CUSTOM,
        values.LAYOUT_TEMPLATE: f"<|prompt|>, <|tags|>{texts[1]}",
        values.CHIPS: '{"keep": ["night", [1, "lake: x"]], "ban": ["a \\"b\\", c"]}',
        "model": "TIPO-200M",
        "ban": texts[0],
        "protect": texts[1],
    }
    if fact.name in named:
        return named[fact.name]
    if fact.choices:
        return next(choice for choice in fact.choices if choice != fact.default)
    if fact.type is bool:
        return not fact.default
    if fact.type is str:
        return re.sub(r"\s+", " ", texts[-1])
    return fact.type(fact.low + (fact.step or 1))
