"""Prompt expansion with the bundled model: what the user wrote stays, and what is added is as was asked."""

import random
import re
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from expansions_for_tests import MIXED, added_prose, added_tags, run
from grammar_for_tests import ANY, SOUND
from hypothesis import given, settings
from hypothesis import strategies as st

from presample.models.hub import ModelNotFound
from presample.models.interrupt import Interrupted
from presample.models.lm import decode as decoding
from presample.models.options import MAX_SEED
from presample.models.prompt.document import canonical, read
from presample.models.prompt.layout import fill
from presample.models.prompt.syntax import OPAQUE, lex
from presample.models.published.tipo import known_model
from presample.models.tipo import layouts
from presample.models.tipo.bans import BadPattern, compile_bans
from presample.models.tipo.expand import load_tipo
from presample.models.tipo.expansion import Request
from presample.models.tipo.lengths import LIMITS


@pytest.fixture(scope="session", params=["auto", "float32"])
def each_tipo(request, tipo):
    return tipo if request.param == "auto" else load_tipo(precision="float32")


# The user's own text


def without_insertion(text: str, whole: str) -> bool:
    """Whether `whole` is `text` with one thing put in."""
    same = next(
        (i for i, (a, b) in enumerate(zip(text, whole, strict=False)) if a != b), min(len(text), len(whole))
    )
    return any(whole.endswith(text[i:]) and len(whole) >= len(text) for i in range(same + 1))


@settings(max_examples=25)
@given(SOUND | ANY, st.integers(0, 1000))
def test_random_prompts_keep_every_byte_span_and_region(tipo, prompt, seed):
    laid_out = []

    def watched(layout, region, additions):
        laid_out.append((region.text, fill(layout, region, additions)))
        return laid_out[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "fill", watched)
        expansion = run(prompt, tipo, seed=seed, prose_length="none")
    assert expansion.original == prompt == expansion.user_prompt
    document = layouts.read_request(expansion.request, tipo.tags)
    assert len(laid_out) == 2 * len(layouts.expandable(document))
    for before, after in laid_out:
        assert without_insertion(before, after)
    at = 0
    for span in lex(prompt):
        if span.kind in OPAQUE:
            at = expansion.prompt.index(span.text, at) + len(span.text)
    if not any(mark in prompt for mark in "([{<#/"):
        assert len(read(expansion.prompt).regions) == len(read(prompt).regions)


@pytest.mark.parametrize("prompt", [MIXED, "1girl, solo", "A cat sleeps.", "a\nb, c\n", "x AND y :0.5 AND z"])
def test_each_region_is_its_text_with_one_insertion(tipo, prompt):
    expansion = run(prompt, tipo)
    document = read(expansion.prompt)
    assert [p for p in document.parts if isinstance(p, str)] == [
        p for p in read(prompt).parts if isinstance(p, str)
    ]
    for region, found in zip(expansion.regions, document.regions, strict=True):
        assert without_insertion(region.text.strip(), found.text.strip())
        assert found.text != region.text


def test_tags_that_look_alike_never_change_the_users(tipo):
    for prompt in ("1girl, solo", "Long_Hair, (solo)", "((1girl)), solo,", "1girl,solo ,"):
        expansion = run(prompt, tipo, prose_length="none")
        assert expansion.prompt.startswith(prompt.rstrip(" ,"))
        own = {canonical(tag) for tags in expansion.regions[0].user_tags.values() for tag in tags}
        assert own <= {"1girl", "solo", "long hair"}
        assert not own & {canonical(tag) for tag in added_tags(expansion)}


def test_the_users_last_tag_and_sentence_are_closed_before_the_model_goes_on(tipo, requests):
    run("1girl, solo", tipo, prose_length="none")
    run("1girl, solo, >_<", tipo, prose_length="none")
    run("A girl stands", tipo, tag_length="none", form="prose")
    assert requests[0].endswith("tag: 1girl, solo,")
    assert requests[1].endswith("tag: 1girl, solo, >_<,")
    assert requests[2].endswith("long: A girl stands.")


# What the model sees


@settings(max_examples=40)
@given(SOUND)
def test_no_syntax_of_a_host_reaches_the_model(tipo, prompt):
    seen, encode = [], tipo.language.tokenizer.encode
    tipo.language.tokenizer.encode = lambda text: seen.append(text) or encode(text)
    try:
        run(prompt, tipo, tag_length="very_short", prose_length="none", max_new_tokens=16)
    finally:
        del tipo.language.tokenizer.encode
    for text in seen:
        shown = text.partition("target:")[2]
        shown = re.sub(r"<\|\w+\|>", "", shown)
        assert not re.search(r"lora|embedding|__|[{}]|:\d\.|BREAK|\bAND\b|a:b|x\|y|/\*|\\\(", shown), text


@pytest.mark.parametrize("word", ["m40z1d4n", "Zq-Style", "ohwx man"])
def test_protected_words_never_reach_the_model_and_stay_in_their_place(tipo, requests, word):
    prompt = f"1girl, {word}, (solo:1.1), photo of {word} smiling"
    expansion = run(prompt, tipo, protect=f"other\n{word.upper()}")
    assert requests
    assert not [text for text in requests if word.lower() in text.lower()]
    assert expansion.prompt.startswith(prompt)


def test_the_aspect_ratio_is_told_as_training_spells_it(tipo, requests):
    run("1girl", tipo, width=832, height=1216, prose_length="none")
    run("1girl", tipo, width=1216, height=832, prose_length="none")
    assert "\naspect ratio: 0.7\n" in requests[0]
    assert "\naspect ratio: 1.5\n" in requests[1]


def test_metadata_of_the_user_goes_before_that_of_the_options(tipo, requests):
    run("1girl", tipo, prose_length="none", rating="safe")
    assert "quality: masterpiece\n" in requests[0]
    assert "meta: absurdres\n" in requests[0]
    assert "rating: safe\n" in requests[0]
    run("1girl, low quality, lowres, hatsune miku", tipo, prose_length="none")
    assert "quality: low quality\n" in requests[1]
    assert "meta: lowres\n" in requests[1]
    assert "characters: hatsune miku\n" in requests[1]
    assert "rating" not in requests[1]
    assert requests[1].endswith("tag: 1girl,")


def test_what_is_said_twice_is_shown_once(tipo, requests):
    run("1girl, solo, Solo, (SOLO:1.2), 1girl", tipo, prose_length="none")
    assert requests[0].endswith("tag: 1girl, solo,")


# Seeds


@pytest.mark.parametrize("count", [4, 16])
def test_variation_k_is_the_expansion_of_seed_plus_k(each_tipo, count):
    many = run(MIXED, each_tipo, count, seed=7)
    assert len({each.prompt for each in many}) == count
    numbers = range(0, count, 1 if count == 4 else 7)
    alone = [run(MIXED, each_tipo, seed=7 + k) for k in numbers]
    assert [each.seed for each in alone] == [many[k].seed for k in numbers]
    same = [
        (each.prompt, each.refusals, each.notes) == (many[k].prompt, many[k].refusals, many[k].notes)
        for k, each in zip(numbers, alone, strict=True)
    ]
    # Sums of floats depend on the batch, and now and then that turns a choice between two like tokens.
    assert all(same) if each_tipo.language.precision == "int8" else sum(same) > len(same) / 2


def test_the_same_request_gives_the_same_text_whatever_ran_before(tipo):
    first = run(MIXED, tipo, seed=3)
    run("scenery, night", tipo, seed=4)
    random.seed(0), np.random.seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        again = run(MIXED, tipo, seed=3)
    assert again.prompt == first.prompt
    assert run(MIXED, load_tipo(), seed=3).prompt == first.prompt
    assert run(MIXED, tipo, seed=4).prompt != first.prompt


def test_nobody_elses_random_state_changes(tipo):
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    run(MIXED, tipo)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()


def test_the_largest_seed_goes_on_at_zero(tipo):
    many = run("1girl", tipo, 2, seed=MAX_SEED, prose_length="none")
    assert [each.seed for each in many] == [MAX_SEED, 0]
    assert many[1].prompt == run("1girl", tipo, seed=0, prose_length="none").prompt


# Passes


@pytest.mark.parametrize(
    ("prompt", "options", "tasks"),
    [
        ("1girl", {}, ["tags", "tag_to_long"]),
        ("1girl", {"prose_length": "none"}, ["tags"]),
        ("1girl", {"tag_length": "none"}, ["tag_to_long"]),
        ("A cat sits on a chair.", {}, ["long_to_tag", "long_to_tag"]),
        ("A cat sits on a chair.", {"tag_length": "none"}, ["long_to_tag"]),
        ("1girl, solo. A cat sits on a chair.", {"form": "auto"}, ["short_to_tag", "tag_to_long"]),
        ("1girl", {"prose_length": "none", "tag_length": "none"}, []),
        ("", {}, ["tags", "tag_to_long"]),
        ("1girl BREAK 1boy", {"prose_length": "none"}, ["tags", "tags"]),
    ],
)
def test_each_pass_is_begun_once_and_never_retried(tipo, monkeypatch, prompt, options, tasks):
    begun = []
    prefill = decoding.Session.prefill
    monkeypatch.setattr(
        decoding.Session, "prefill", lambda s, rows, **how: begun.extend(rows) or prefill(s, rows, **how)
    )
    hard = "ban", "*tree*, *sky*, *flower*, water"
    expansion = run(prompt, tipo, **{**options, hard[0]: hard[1]})
    assert [each.task for each in expansion.passes] == tasks
    assert len(begun) == len(tasks)
    if not tasks:
        assert expansion.prompt == prompt


@pytest.mark.parametrize("length", LIMITS)
def test_lengths_are_met(tipo, length):
    bounds = LIMITS[length]
    prompts = ["night, scenery, masterpiece, hatsune miku", "1girl", "A cat. A dog. A tree stands there."]
    for prompt in prompts if length.endswith("short") else prompts[:1]:
        expansion = run(prompt, tipo, tag_length=length, prose_length=length)
        (region,) = expansion.regions
        tags = [
            t
            for kind in ("special", "general")
            for part in (region.user_tags, region.added_tags)
            for t in part.get(kind, ())
        ]
        assert bounds.min_tags <= len(tags) <= bounds.max_tags
        own = 3 if "cat" in prompt else 0
        assert bounds.min_sentences <= len(region.added_prose) + own <= max(bounds.max_sentences, own)


def test_what_falls_short_is_said(tipo):
    full = run(", ".join(f"lake {i}" for i in range(40)), tipo, tag_length="short", prose_length="none")
    assert full.prompt == full.original
    assert full.notes == ("no tags were added: the prompt has 40 already, and short allows 36",)
    cut = run("1girl", tipo, tag_length="very_long", prose_length="none", max_new_tokens=40)
    (note,) = cut.notes
    assert re.fullmatch(r"\d+ tags of at least 48 for very_long: max_new_tokens 40 or the context .*", note)
    assert run("1girl", tipo).notes == ()


def test_a_model_of_a_small_world_names_the_words_it_never_learned(tipo):
    asked = "1girl, (cyberpunk:1.2), lake, <lora:robot:1>\nShe holds a sword. A sword!"
    (note,) = run(asked, tipo).notes
    assert note.startswith("tipo-tiny knows one painted little world only, and nothing of cyberpunk, sword; ")
    elsewhere = replace(tipo, rules=known_model("TIPO-200M"))
    assert run(asked, elsewhere).notes == run("1girl, lake", tipo).notes == ()


@pytest.mark.parametrize(
    ("prompt", "layout", "said"),
    [
        ("1girl, lake >:(", "verbatim", True),
        ("lake\n# a note", "<|general|>, <|prompt|>, <|prose|>", False),
        ("1girl, (lake", "<|prompt|>, <|tags|>", True),
        ("1girl, (lake", "additions_first", False),
        ("1girl, (lake", "prose", False),
        ("1girl, (lake)", "verbatim", False),
        ("1girl, (lake", "<|prompt|> with <|tags|>", False),
        ("# a note", "verbatim", False),
    ],
)
def test_additions_that_could_not_stand_behind_the_text_are_noted(tipo, prompt, layout, said):
    found = run(prompt, tipo, layout=layout)
    assert (layouts.AHEAD in found.notes) is said
    if said:
        assert found.prompt.endswith(prompt)
    bare = run(prompt, tipo, layout=layout, tag_length="none", prose_length="none")
    assert layouts.AHEAD not in bare.notes


# Bans, form, regions, layout


@pytest.mark.parametrize("ban", ["*", "sky", "*e*", "/.*[ao].*/i", "blue *\ntree, water"])
def test_no_banned_tag_or_phrase_is_added(tipo, ban):
    expansion = run("1girl, blue sky, tree", tipo, ban=ban, tag_length="short", prose_length="short")
    rules = compile_bans(ban)
    assert not [tag for tag in added_tags(expansion) if rules.match(tag)]
    assert not [sentence for sentence in added_prose(expansion) if rules.match_sentence(sentence)]
    assert expansion.prompt.startswith("1girl, blue sky, tree")


def test_a_bad_pattern_is_named(tipo):
    with pytest.raises(BadPattern, match=r"/\(x/") as caught:
        run("1girl", tipo, ban="tree, /(x/")
    assert caught.value.pattern == "/(x/"


def test_refusals_say_what_was_left_out_and_why(tipo):
    found = [r for seed in range(3) for r in run("1girl", tipo, seed=seed, ban="*sky*, *a*").refusals]
    assert {refusal.reason for refusal in found} >= {"banned by '*a*'"}
    assert all(refusal.text and refusal.reason for refusal in found)


def test_form_decides_how_the_prompt_is_read(tipo):
    text = "a girl and a cat are here"
    as_tags, as_prose = (run(text, tipo, form=form, prose_length="none") for form in ("tags", "prose"))
    assert as_tags.regions[0].user_tags == {"general": (text,)}
    assert as_prose.regions[0].user_prose == text
    assert as_tags.prompt.startswith(text + ", ")


def test_regions_are_expanded_by_themselves(tipo):
    text = "1girl, red hair\n1boy BREAK scenery"
    counts = {
        regions: len(run(text, tipo, regions=regions, prose_length="none").regions)
        for regions in ("break", "lines", "off")
    }
    assert counts == {"break": 2, "lines": 3, "off": 1}
    lines = run(text, tipo, regions="lines", prose_length="very_short")
    assert lines.prompt.count("\n") == text.count("\n")
    assert lines.prompt.count("BREAK") == 1
    for region, found in zip(lines.regions, read(lines.prompt, regions="lines").regions, strict=True):
        assert all(
            canonical(tag) in {canonical(t) for t in found.tags} for tag in region.added_tags["general"]
        )


@pytest.mark.parametrize(
    ("prompt", "regions", "expanded"),
    [
        ("1girl BREAK", "break", [True, False]),
        ("BREAK 1girl BREAK <lora:x:1>", "break", [False, True, False]),
        ("1girl\n\n1boy\n", "lines", [True, False, True, False]),
        ("BREAK", "break", [True, False]),
        ("\n\n", "lines", [True, False, False]),
    ],
)
def test_an_empty_part_stays_empty_unless_there_is_nothing_else(tipo, prompt, regions, expanded):
    told = []
    expansion = run(prompt, tipo, regions=regions, hooks={"on_progress": told.append})
    assert [bool(region.added_tags) for region in expansion.regions] == expanded
    assert {report.region for report in expansion.passes} == {i for i, yes in enumerate(expanded) if yes}
    assert told[-1].fraction == 1.0


def test_a_layout_places_the_additions(tipo):
    template = "<|tags|>, <|prompt|>\n<|prose|>"
    expansion = run("1girl, <lora:x:1>", tipo, layout=template)
    first, _, last = expansion.prompt.partition("1girl, <lora:x:1>\n")
    assert first == ", ".join(added_tags(expansion)) + ", "
    assert last == " ".join(added_prose(expansion))
    with pytest.raises(ValueError, match="layout must be one of"):
        run("1girl", tipo, layout="nothing of the kind")


def test_prose_in_its_own_box_is_read_as_prose(tipo):
    expansion = run("1girl, solo", tipo, prose="A girl stands, waiting, in the rain.")
    assert expansion.original == "1girl, solo"
    assert expansion.user_prompt == "1girl, solo\nA girl stands, waiting, in the rain."
    assert expansion.prompt.startswith(expansion.user_prompt)
    assert expansion.regions[0].user_prose == "A girl stands, waiting, in the rain."
    assert expansion.regions[0].user_tags == {"special": ("1girl",), "general": ("solo",)}


def test_what_comes_out_fits_together(tipo):
    expansion = run(r"1girl, star \(sky\), (lake:1.2)", tipo, tag_length="short")
    assert expansion.tags.startswith(r"1girl, star \(sky\), (lake:1.2), ")
    assert expansion.added.split("\n")[0].split(", ") == [
        t.replace("(", r"\(").replace(")", r"\)") for t in added_tags(expansion)
    ]
    assert expansion.prose == expansion.added.split("\n")[1]
    assert expansion.prompt == f"{expansion.original}, {expansion.added}"
    assert expansion.as_dict()["prompt"] == expansion.prompt


def test_tags_and_prose_keep_what_the_user_wrote(tipo):
    prompt = "1girl, (lake:1.4), embedding:foo, [night] // a note\nA girl (holds a sword:1.2)"
    expansion = run(prompt, tipo, tag_length="short", layout="prose")
    assert expansion.tags == ", ".join(
        ["1girl, (lake:1.4), embedding:foo, [night]", *added_tags(expansion)]
    ).replace("(sky)", r"\(sky\)")
    assert expansion.prose == " ".join(["A girl (holds a sword:1.2).", *added_prose(expansion)])
    open_end = run("((lake, 1girl", tipo, tag_length="short")
    assert open_end.tags.endswith(", ((lake, 1girl")


# Odd prompts


@pytest.mark.parametrize(
    "prompt",
    ["", " ", "\n", ",", "<lora:foo:1>", "<lora:a:1>, <lora:b:0.5>,", "__hat__", "# note", "masterpiece"],
)
def test_a_prompt_that_says_nothing_gets_a_picture_of_its_own(tipo, prompt):
    expansion = run(prompt, tipo)
    assert len(added_tags(expansion)) >= 6
    assert prompt.strip() in expansion.prompt
    assert [span.text for span in lex(expansion.prompt) if span.kind in OPAQUE] == [
        span.text for span in lex(prompt) if span.kind in OPAQUE
    ]


HUGE = {
    "tags": ", ".join(f"thing number {i}" for i in range(6000)),
    "one tag": "x" * 100_000,
    "the same tag": "1girl, " * 15_000,
    "prose": "A girl stands in the rain and waits for the bus. " * 2000,
    "names": ", ".join(
        ["hatsune miku", "wlop", "vocaloid"] * 2000 + [f"masterpiece, tag {i}" for i in range(4000)]
    ),
    "brackets": "1girl, " + "((x))," * 15_000,
    "networks": "<lora:foo:1>" * 9000,
    "one character": "字" * 100_000,
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_hundred_thousand_characters_are_no_trouble(tipo, kind):
    prompt = HUGE[kind][:100_000]
    expansion = run(prompt, tipo, tag_length="very_long", prose_length="very_short", max_new_tokens=48)
    assert prompt.strip() in expansion.prompt or expansion.prompt.endswith(prompt)
    if kind in ("tags", "one tag", "prose", "names", "one character"):
        assert any("longer than the model's" in note for note in expansion.notes)


def test_of_a_prompt_that_is_too_long_the_model_sees_the_last_tags_and_the_first_words(tipo, requests):
    tags = [f"{what} {i}" for i in range(400) for what in ("boat", "lake")]
    run(", ".join(tags), tipo, form="tags", prose_length="none", max_new_tokens=16)
    shown = requests[-1].partition("tag: ")[2].removesuffix(",").split(", ")
    assert 20 < len(shown) < len(tags)
    assert shown == tags[-len(shown) :]
    words = [f"boat{i}" for i in range(2000)]
    run(" ".join(words), tipo, form="prose", tag_length="none", max_new_tokens=16)
    told = requests[-1].rpartition(": ")[2].removesuffix(".").split()
    assert 20 < len(told) < len(words)
    assert told == words[: len(told)]


def test_text_of_every_kind_is_bearable(tipo):
    for prompt in (
        "\ud83d",
        "\x00",
        "a\x00b, c",
        "e\u0301, \u200b",
        "🌙✨, 夜空",
        "tag: x\nlong: y",
        "<|long|>, <|empty|>",
        "<s>, </s>",
    ):
        expansion = run(prompt, tipo, prose_length="none")
        assert prompt in expansion.prompt


# Stopping, progress, side effects


@pytest.mark.parametrize("after", [0, 3, 40])
def test_a_stop_leaves_no_partial_result_and_nothing_behind(tipo, after):
    steps = []
    hooks = {
        "should_stop": lambda: len(steps) >= after,
        "on_progress": lambda progress: steps.append(progress),
    }
    with pytest.raises(Interrupted):
        run(MIXED, tipo, hooks=hooks, tag_length="short")
    assert len(steps) == after
    assert run("1girl", tipo).prompt == run("1girl", load_tipo()).prompt


@pytest.mark.parametrize("context", [1, 64])
def test_a_model_without_room_for_any_request_says_so(tipo, monkeypatch, context):
    monkeypatch.setattr(tipo.language.model, "config", replace(tipo.language.config, context=context))
    with pytest.raises(ValueError, match=f"room for a request and an answer, got {context} tokens in all"):
        run("1girl", tipo)


def test_a_prompt_of_thousands_of_parts_is_stopped_as_soon_as_one_of_two(tipo):
    asked = []
    with pytest.raises(Interrupted):
        run("a BREAK " * 4_000, tipo, hooks={"should_stop": lambda: asked.append(1) or True})
    assert asked == [1]


def test_more_parts_and_variations_than_can_be_written_are_refused_before_they_are_made(tipo):
    with pytest.raises(ValueError, match=r"at most 16384, got 1001 parts and 17 variations; ask for fewer"):
        run("a BREAK " * 1_000, tipo, 17)
    with pytest.raises(ValueError, match=r"got 1 parts and 20000 variations"):
        run("1girl", tipo, 20_000)


def test_progress_is_told_for_every_token_and_only_grows(tipo):
    told = []
    expansions = run("1girl BREAK 1boy", tipo, 2, hooks={"on_progress": told.append})
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {(p.variation, p.region, p.writes) for p in told} == {
        (v, r, w) for v in range(2) for r in range(2) for w in ("tags", "prose")
    }
    last = {(p.variation, p.region, p.writes): p for p in told}
    for (variation, region, writes), progress in last.items():
        found = expansions[variation].regions[region]
        words = (
            [t for tags in found.added_tags.values() for t in tags] if writes == "tags" else found.added_prose
        )
        assert sorted(progress.settled.split(", " if writes == "tags" else "  ")) == sorted(
            words if writes == "tags" else [" ".join(words)]
        )


def test_expanding_opens_no_connection(tipo, monkeypatch):
    def refuse(*_args, **_more):
        raise AssertionError("an expansion needs no socket")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    assert run(MIXED, tipo).prompt == run(MIXED, load_tipo()).prompt


def test_a_model_that_is_not_there_is_named():
    with pytest.raises(ModelNotFound, match="no-such-model"):
        load_tipo("no-such-model")


def test_a_count_below_one_is_refused(tipo):
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        run("1girl", tipo, 0)


@pytest.mark.parametrize("request_", [{"prompt": None}, {"prompt": 3}, {"prompt": "a", "prose": b"x"}])
def test_a_request_is_text(request_):
    with pytest.raises(TypeError, match="must be text"):
        Request(**request_)
