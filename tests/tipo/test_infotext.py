"""What is written into an infotext comes back through a host's quoting, and nothing wrong gets in."""

import contextlib
import json
import re

import pytest
from grammar_for_tests import ANY
from hypothesis import given, strategies

from presample.models.options import describe
from presample.models.tipo import infotext
from presample.models.tipo.options import ExpandOptions

ODD = [
    "",
    " ",
    "512x512",
    "512x512\n",
    "True",
    '"quoted"',
    '"a", "b"',
    "a, b: c",
    "a\nb",
    "a\r\nb",
    "a\u2028b",
    "C:\\x",
    "\\",
    '\\"',
    "Presample",
    "Presample prompt",
    '{"text": "x"}',
    '{"text"',
    "(a:1.2), <lora:b:0.5>\nBREAK {c|d} __w__",
    "ends in a blank ",
    "a\tb",
    "Steps: 20, Sampler: Euler",
    "日本語, 猫",
]


def through_a_host(pairs, image=0):
    """What a host writes and reads: values quoted as JSON where they need it, keys of few characters."""
    words = []
    for name, value in pairs.items():
        value = value[image] if isinstance(value, list) else value
        if value is None:
            continue
        quoted = json.dumps(value, ensure_ascii=False) if set(",:\n") & set(value) else value
        words.append(name if name == value else f"{name}: {quoted}")
    line = ("Steps: 20, Size: 64x64, " + ", ".join(words) + ", Version: v1").strip()
    line.encode("utf-8")
    found = {}
    for name, value in re.findall(r'\s*(\w[\w /-]+):\s*("(?:[^\\"]|\\.)+"|[^,]*)(?:,|$)', line):
        if not value:
            continue  # hosts stumble over it
        if value[0] == value[-1] == '"':
            with contextlib.suppress(ValueError):
                value = json.loads(value)
        size = re.match(r"^(\d+)x(\d+)$", value)
        found |= {f"{name}-1": size[1], f"{name}-2": size[2]} if size else {name: value}
    return found


@pytest.mark.parametrize("text", ODD)
def test_a_text_comes_back_through_the_quoting(text):
    pairs = infotext.write(ExpandOptions(ban=text), text, prose=text)
    record = infotext.read(through_a_host(pairs))
    assert record.prompt == text
    assert record.prose == (text or None)
    assert record.options.get("ban", "") == text


@given(strategies.text(max_size=60) | ANY)
def test_any_text_comes_back_through_the_quoting(text):
    assert infotext.read(through_a_host(infotext.write(ExpandOptions(), text))).prompt == text


def test_plain_prompts_stay_readable():
    for text in ("1girl, lake, night", "a cat on a mat", "(red hair:1.2)"):
        assert infotext.encode(text) == text


OTHERS = {
    "model": "TIPO-200M",
    "seed": 2**64 - 1,
    "layout": "<|prompt|>,\n<|tags|>",
    "avoid_conflicts": False,
    "task": "tag_to_long",
    "width": 64,
    "height": 64,
}


def other(fact):
    if fact.name in OTHERS:
        return OTHERS[fact.name]
    if fact.choices:
        return fact.choices[-1] if fact.choices[-1] != fact.default else fact.choices[0]
    if fact.type is str:
        return "x, y: z"
    return fact.type(fact.low)


def test_every_option_comes_back_with_its_type():
    options = ExpandOptions(**{fact.name: other(fact) for fact in describe(ExpandOptions)})
    record = infotext.read(through_a_host(infotext.write(options, "x")))
    wanted = {fact.name: other(fact) for fact in describe(ExpandOptions)}
    del wanted["width"], wanted["height"]
    assert record.options == wanted


def test_keys_are_such_as_hosts_keep():
    options = ExpandOptions(**{fact.name: other(fact) for fact in describe(ExpandOptions)})
    pairs = infotext.write(options, "x", prose="y", extras={"seed_from": "image"})
    assert all(re.fullmatch(r"\w[\w /-]+", name) and infotext.is_ours(name) for name in pairs)
    assert all(name != value for name, value in pairs.items())


def test_the_images_of_a_job_share_what_is_the_same():
    each = [infotext.write(ExpandOptions(seed=k), "x") for k in range(3)]
    pairs = infotext.merge(each)
    assert pairs["Presample seed"] == ["0", "1", "2"]
    assert pairs["Presample prompt"] == "x"
    assert infotext.read(through_a_host(pairs, image=2)).options["seed"] == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Presample seed", "-4"),
        ("Presample seed", "five"),
        ("Presample temperature", "1e9"),
        ("Presample tag length", "endless"),
        ("Presample avoid conflicts", "perhaps"),
    ],
)
def test_a_value_that_is_not_allowed_is_left_out(name, value):
    record = infotext.read({"Presample": "TIPO 1", name: value, "Presample top k": "5"})
    assert record.options == {"top_k": 5}


def test_an_infotext_without_an_expansion_says_nothing():
    assert infotext.read({"Steps": "20", "Presampled": "x"}) is None


def test_what_z_tipo_extension_wrote_is_read():
    said = {
        "seed": 5,
        "timing": "BEFORE",
        "tag_length": "very short",
        "nl_length": "very long",
        "ban_tags": "hat, it's",
        "format": "<|general|>,\n<|extended|>.",
        "temperature": 0.35,
        "top_p": 0.95,
        "top_k": 100,
        "model": "KBlueLeaf/TIPO-200M-ft | TIPO-200M-ft-F16.gguf",
        "no_formatting": False,
    }
    swapped = json.dumps(said, ensure_ascii=False).translate(str.maketrans("'\"", "\"'"))
    record = infotext.read({"TIPO Parameters": swapped, "TIPO prompt": "1girl", "TIPO nl prompt": "A girl."})
    assert record.options == {
        "ban_mode": "substring",
        "seed": 5,
        "tag_length": "very_short",
        "prose_length": "very_long",
        "ban": "hat, it's",
        "layout": "<|general|>,\n<|extended|>.",
        "temperature": 0.35,
        "top_p": 0.95,
        "top_k": 100,
        "model": "TIPO-200M-ft",
    }
    assert (record.prompt, record.prose, record.extras) == ("1girl", "A girl.", {"timing": "before"})


def test_a_broken_value_of_z_tipo_extension_is_no_error():
    for value in ("{'seed': ", "[" * 100_000):
        assert infotext.read({"TIPO Parameters": value}).options == {"ban_mode": "substring"}


def test_a_value_that_is_nested_without_end_stays_the_text_it_is():
    value = '{"text":' + "[" * 100_000
    assert infotext.read({"Presample": "TIPO 1", "Presample prompt": value}).prompt == value
