"""Additions in their places, and everything the user wrote in its own."""

import pytest

from presample.models.prompt.document import read
from presample.models.prompt.layout import (
    FAMILIES,
    PRESETS,
    Additions,
    Layout,
    fill,
    find_layout,
    gather,
    left_out,
)
from presample.models.prompt.template import CATEGORIES
from presample.models.tipo.tag_words import CATEGORIES as TIPO_CATEGORIES

TAGS = Additions(tags={"general": ("long hair", "miku (cosplay)")})
PROSE = Additions(prose=("She smiles.", "It rains."))
BOTH = Additions(tags=TAGS.tags, prose=PROSE.prose)


def filled(prompt, additions, template="verbatim", **how):
    document = read(prompt, **how)
    layout = find_layout(template)
    return document.replace([fill(layout, region, additions) for region in document.regions])


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", "long hair, miku \\(cosplay\\)"),
        ("1girl", "1girl, long hair, miku \\(cosplay\\)"),
        ("1girl,", "1girl, long hair, miku \\(cosplay\\)"),
        ("1girl, ", "1girl, long hair, miku \\(cosplay\\) "),
        (" 1girl,\n\n", " 1girl, long hair, miku \\(cosplay\\)\n\n"),
        ("A girl stands.", "A girl stands.\nlong hair, miku \\(cosplay\\)"),
        ("1girl, ...", "1girl, ..., long hair, miku \\(cosplay\\)"),
        ("1girl # note", "1girl, long hair, miku \\(cosplay\\) # note"),
        ("1girl\n# note\n", "1girl, long hair, miku \\(cosplay\\)\n# note\n"),
        ("# note\n1girl", "# note\n1girl, long hair, miku \\(cosplay\\)"),
        ("# note", "long hair, miku \\(cosplay\\)\n# note"),
        (" #1", " long hair, miku \\(cosplay\\)\n#1"),
        ("# note\n", "# note\nlong hair, miku \\(cosplay\\)"),
        ("1girl /* x */", "1girl, long hair, miku \\(cosplay\\) /* x */"),
        ("1girl, (hat", "long hair, miku \\(cosplay\\), 1girl, (hat"),
        ("[a:b, 1girl", "long hair, miku \\(cosplay\\), [a:b, 1girl"),
        ("{red|blue", "long hair, miku \\(cosplay\\), {red|blue"),
        ("1girl, /* x", "long hair, miku \\(cosplay\\), 1girl, /* x"),
        ("<lora:x", "long hair, miku \\(cosplay\\), <lora:x"),
        ("1girl, :(", "long hair, miku \\(cosplay\\), 1girl, :("),
        ("team #1", "long hair, miku \\(cosplay\\), team #1"),
        ("https://x\n1girl", "https://x\n1girl, long hair, miku \\(cosplay\\)"),
        ("# note\n(hat", "# note\nlong hair, miku \\(cosplay\\), (hat"),
        ("a BREAK b", "a, long hair, miku \\(cosplay\\) BREAK b, long hair, miku \\(cosplay\\)"),
        ("(a)BREAK(b", "(a), long hair, miku \\(cosplay\\) BREAK long hair, miku \\(cosplay\\), (b"),
        ("a :0.5 AND b:2", "a, long hair, miku \\(cosplay\\) :0.5 AND b, long hair, miku \\(cosplay\\) :2"),
    ],
)
def test_tags_join_the_text_where_every_host_reads_them(prompt, expected):
    assert filled(prompt, TAGS) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("1girl", "1girl\nShe smiles. It rains."),
        ("1girl, ", "1girl,\nShe smiles. It rains. "),
        ("A girl stands.", "A girl stands. She smiles. It rains."),
        ("a girl in the rain", "a girl in the rain. She smiles. It rains."),
        ("1girl, (hat", "She smiles. It rains.\n1girl, (hat"),
    ],
)
def test_prose_goes_on_where_prose_ends_and_else_on_a_line_of_its_own(prompt, expected):
    assert filled(prompt, PROSE) == expected


def test_tags_come_before_prose():
    assert filled("1girl", BOTH) == "1girl, long hair, miku \\(cosplay\\)\nShe smiles. It rains."
    assert (
        filled("1girl", BOTH, "additions_first")
        == "She smiles. It rains.\nlong hair, miku \\(cosplay\\), 1girl"
    )


def test_lines_that_are_regions_stay_lines():
    result = filled("1girl\n\nA boy runs.\n(hat\nx # y", BOTH, regions="lines")
    assert result.split("\n") == [
        "1girl, long hair, miku \\(cosplay\\), She smiles. It rains.",
        "long hair, miku \\(cosplay\\), She smiles. It rains.",
        "A boy runs. long hair, miku \\(cosplay\\), She smiles. It rains.",
        "long hair, miku \\(cosplay\\), She smiles. It rains. (hat",
        "x, long hair, miku \\(cosplay\\), She smiles. It rains. # y",
    ]


def test_a_bracket_in_a_network_is_open_where_networks_are_not_taken_out():
    assert filled("<lora:a(b:1>", TAGS, comments="comfyui").endswith(", <lora:a(b:1>")
    assert filled("<lora:a(b:1>", TAGS, comments="webui").startswith("<lora:a(b:1>, ")


def test_additions_before_a_line_stay_on_it():
    expected = "She smiles. It rains. long hair, miku \\(cosplay\\), 1girl\n# x"
    assert filled("1girl\n# x", BOTH, "additions_first", regions="lines").startswith(expected.split("\n")[0])
    layout = "<|prose|>\n<|prompt|>\n<|tags|>"
    assert filled("a\n(b", BOTH, layout, regions="lines").count("\n") == 1


@pytest.mark.parametrize("style", ["auto", "webui", "comfyui"])
def test_a_hash_holds_additions_back_only_where_it_can_start_a_comment(style):
    expected = {"auto": "long hair, a #1 b", "webui": "a, long hair #1 b", "comfyui": "a #1 b, long hair"}
    assert filled("a #1 b", Additions(tags={"general": ("long hair",)}), comments=style) == expected[style]


def test_an_addition_never_becomes_the_weight_of_the_prompt():
    face = Additions(tags={"general": (":3",)})
    assert filled("1girl", face) == "1girl, :3,"
    assert filled("a AND b:2", face) == "a, :3, AND b, :3, :2"
    assert filled("1girl", face, "tags") == "1girl, :3,"


def test_additions_without_a_safe_spelling_are_left_out_and_named():
    unsafe = Additions(
        tags={"general": ("#compass", "hat")}, prose=("Salt AND pepper.",), generated=("a // b",)
    )
    (region,) = read("1girl").regions
    assert left_out(region, unsafe) == ("#compass", "Salt AND pepper.", "a // b")
    assert fill(PRESETS["verbatim"], region, unsafe) == "1girl, hat"


def test_nothing_closes_a_network_that_was_left_open_before():
    document = read("<lora:x BREAK b")
    arrow = Additions(tags={"general": (">_<", "hat")})
    assert left_out(document.regions[1], arrow) == (">_<",)
    assert [fill(PRESETS["verbatim"], region, arrow) for region in document.regions] == [
        ">_<, hat, <lora:x ",
        " b, hat",
    ]


SORTED = Additions(
    tags={"general": ("hat",), "artist": ("someone",), "rating": ("safe",), "quality": ("great quality",)},
    prose=("She smiles.",),
    user_categories={"1girl": "special", "hatsune_miku": "characters", "masterpiece": "quality"},
)
PROMPT = "<lora:x:1>, (masterpiece:1.2), bow, hatsune_miku, __w__, 1girl, A girl stands in the rain."


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            "tags_then_prose",
            "<lora:x:1>, __w__, 1girl, hatsune_miku,\nsomeone,\n\nbow, hat,\n\n"
            "A girl stands in the rain. She smiles.\n\n(masterpiece:1.2), great quality, safe",
        ),
        (
            "prose_then_tags",
            "<lora:x:1>, __w__, 1girl, hatsune_miku,\nsomeone,\n\nA girl stands in the rain. She smiles.\n\n"
            "bow, hat,\n\n(masterpiece:1.2), great quality, safe",
        ),
        (
            "tags",
            "<lora:x:1>, __w__, A girl stands in the rain. 1girl, hatsune_miku,\nsomeone,\n\nbow, hat,\n\n"
            "(masterpiece:1.2), great quality, safe",
        ),
        (
            "prose",
            "<lora:x:1>, (masterpiece:1.2), bow, hatsune_miku, __w__, 1girl\n"
            "A girl stands in the rain. She smiles.",
        ),
        (
            "pony",
            "<lora:x:1>, __w__, (masterpiece:1.2), score_9, score_8_up, score_7_up, score_6_up, score_5_up, "
            "score_4_up, rating_safe, 1girl, hatsune_miku, bow, hat, someone, A girl stands in the rain. "
            "She smiles.",
        ),
        (
            "noobai",
            "<lora:x:1>, __w__, (masterpiece:1.2), best quality, newest, absurdres, highres, safe, 1girl, "
            "hatsune_miku, someone, bow, hat, A girl stands in the rain. She smiles.",
        ),
        (
            "<|special|> and <|general|>; <|kept|>",
            "1girl and (masterpiece:1.2), bow, hatsune_miku, hat; <lora:x:1>, __w__, A girl stands in the "
            "rain.",
        ),
        (
            "photo of <|tags|>, <|kept|>!",
            "photo of (masterpiece:1.2), bow, hatsune_miku, 1girl, hat, someone, safe, great quality, "
            "<lora:x:1>, __w__, A girl stands in the rain.!",
        ),
    ],
)
def test_layouts_arrange_what_the_user_wrote_and_lose_nothing(template, expected):
    assert filled(PROMPT, SORTED, template) == expected
    for unit in read(PROMPT).regions[0].units:
        assert expected.count(unit.text) == 1


TITLES = Additions(
    tags={"copyrights": ("k-on!",), "general": ("...", "hat")},
    user_categories={"k-on!": "copyrights", "dr": "characters"},
)


@pytest.mark.parametrize(
    ("prompt", "template", "expected"),
    [
        ("k-on!, 1girl, bow", "<|copyrights|>, <|general|>", "k-on!, k-on!, 1girl, bow, ..., hat"),
        ("dr., k-on!", "<|characters|>, <|copyrights|>, <|general|>", "dr., k-on!, k-on!, ..., hat"),
        ("k-on!, 1girl", "<|copyrights|>,\n<|general|>", "k-on!, k-on!,\n1girl, ..., hat"),
        ("k-on!, 1girl", "<|copyrights|><|general|>", "k-on!, k-on!, 1girl, ..., hat"),
        ("k-on!, 1girl", "<|copyrights|>. <|general|>", "k-on!, k-on!. 1girl, ..., hat"),
        ("dr., 1girl", "<|characters|>. <|general|>", "dr. 1girl, ..., hat"),
        ("k-on!, 1girl", "<|extended|>", "k-on!, 1girl"),
        ("k-on!, A girl stands. 1girl, dr.", "tags", "A girl stands. dr., k-on!, k-on!,\n\n1girl, ..., hat"),
        ("1girl, bow", "additions_first", "k-on!, ..., hat, 1girl, bow"),
        ("1girl, bow", "<|general|>, <|copyrights|>, <|prompt|>", "..., hat, k-on!, 1girl, bow"),
        ("1girl, (bow", "<|copyrights|>, <|prompt|>, <|general|>", "k-on!, ..., hat, 1girl, (bow"),
        ("k-on!, (bow", "<|copyrights|>", "k-on!, k-on!, (bow"),
    ],
)
def test_tags_that_end_like_sentences_have_commas_after_them(prompt, template, expected):
    assert filled(prompt, TITLES, template) == expected


def test_tags_that_end_like_sentences_have_commas_on_single_lines_and_alone():
    template = "<|copyrights|>\n<|general|>"
    assert filled("k-on!, 1girl", TITLES, template, regions="lines") == "k-on!, k-on!, 1girl, ..., hat"
    region = read("1girl, k-on!, bow").regions[0]
    assert gather(region, TITLES, prose=False) == "1girl, k-on!, bow, k-on!, ..., hat"


def test_text_that_reaches_over_its_end_comes_last():
    result = filled("(hat, # note\n1girl, <lora:x:1>", SORTED, "tags")
    assert result == "<lora:x:1>, 1girl,\nsomeone,\n\nhat,\n\ngreat quality, safe, (hat\n# note\n"
    assert filled("# note\n1girl BREAK x", Additions(), "tags") == "1girl\n# note\n BREAK x"


def test_empty_placeholders_take_their_punctuation_along():
    assert filled("", Additions(tags={"general": ("hat",)}), "tags_then_prose") == "hat"
    assert filled("", Additions(tags={"meta": ("highres",)}), "tags_then_prose") == "highres"
    assert filled("", PROSE, "tags_then_prose") == "She smiles. It rains."
    assert filled("", Additions(), "tags_then_prose") == ""
    assert (
        filled("", TAGS, "(<|special|>:1.2), <|general|>. <|extended|>. x")
        == "long hair, miku \\(cosplay\\). x"
    )


def test_a_fresh_caption_stands_in_for_prose_that_is_missing():
    fresh = Additions(generated=("A girl.", "It rains"))
    assert filled("1girl", fresh) == "1girl\nA girl. It rains"
    assert filled("1girl", fresh, "prose") == "1girl\nA girl. It rains."
    assert filled("1girl", fresh, "<|general|>. <|extended|> <|generated|>") == "1girl. A girl. It rains"
    assert "A girl. It rains" not in filled("A boy runs in the park.", fresh, "prose")


def test_what_is_filled_in_is_never_filled_again():
    trick = "<|quality|>"
    additions = Additions(tags={"quality": ("masterpiece",), "general": ("hat",)})
    assert (
        filled(f"{trick}, 1girl", additions, "<|general|>, <|quality|>")
        == f"{trick}, 1girl, hat, masterpiece"
    )
    assert filled(f"{trick},  a   b", additions, "<|prompt|>, <|quality|>") == f"{trick},  a   b, masterpiece"


def test_placeholders_without_anything_between_are_kept_apart():
    assert (
        filled("1girl", BOTH, "<|tags|><|prose|>x")
        == "1girl, long hair, miku \\(cosplay\\), She smiles. It rains.x"
    )
    assert filled("", BOTH, "<|prose|><|tags|>") == "She smiles. It rains. long hair, miku \\(cosplay\\)"


def test_blanks_are_tidied_in_the_template_only():
    assert filled("red  hat", Additions(), "<|kept|>  ,  x,   <|general|>,,\n\n\n\n y") == "x, red  hat,\n\ny"


def test_empty_brackets_of_a_template_go_and_a_bracket_before_many_lines_is_nothing_special():
    assert filled("hat", Additions(), "<|prompt|>() x ( : 1.2 )[ ] ( y) (:1.)") == "hat x ( y)"
    assert filled("hat", Additions(), "<|prompt|>(" + "\n" * 100_000 + "x") == "hat(\n\nx"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("<|general|>, <|foo|>", r"may hold <\|prompt\|>, .*<\|rating\|>, .*; got <\|foo\|>"),
        ("<|general|>, <|general|>", r"once in a template, got <\|general\|> twice"),
        ("vebratim", "must be one of verbatim, .* or a template .*; got 'vebratim'"),
        ("", "must be one of"),
    ],
)
def test_a_wrong_layout_is_explained(template, message):
    with pytest.raises(ValueError, match=message):
        find_layout(template)


def test_added_tags_must_be_of_a_known_category():
    with pytest.raises(ValueError, match=r"categories .*general.*; got \['x'\]"):
        filled("a", Additions(tags={"x": ("b",)}))


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in FAMILIES])
def test_a_preset_without_additions_keeps_a_plain_prompt(name):
    assert filled("1girl, hat", Additions(), name) in ("1girl, hat", "1girl, hat,")


def test_the_default_preset_is_verbatim_and_every_family_has_one():
    assert next(iter(PRESETS)) == "verbatim"
    assert set(FAMILIES) <= set(PRESETS)
    assert all(name == layout.name and layout.title for name, layout in PRESETS.items())
    assert all(family.source.startswith("https://") for family in FAMILIES.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_family_words_are_written_once(name):
    family = FAMILIES[name]
    words = [word for group in family.words.values() for word in group]
    categories = {word: category for category, group in family.words.items() for word in group}
    region = read(", ".join(words[:1])).regions[0]
    result = fill(family.layout(), region, Additions(user_categories=categories))
    assert sorted(result.replace("\n", ", ").split(", ")) == sorted(words or [""])


def test_categories_are_those_of_tipo():
    assert set(CATEGORIES) == set(TIPO_CATEGORIES)


def test_a_layout_can_be_made_by_hand():
    layout = Layout("mine", "Mine", "<|quality|>, <|prompt|>", words={"quality": ("best",)})
    assert fill(layout, read("a, (b").regions[0], Additions()) == "best, a, (b"
    assert fill(layout, read("a, best").regions[0], Additions()) == "a, best"
