"""Regions, units and what a model may be shown of them."""

import pytest

from presample.models.prompt.document import Region, read


def parts(prompt, **how):
    return [part.text if isinstance(part, Region) else (part,) for part in read(prompt, **how).parts]


def units(prompt, **how):
    (region,) = read(prompt, **how).regions
    return [(unit.text, unit.terms) for unit in region.units]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", [""]),
        ("a, b", ["a, b"]),
        ("a BREAK b", ["a ", ("BREAK",), " b"]),
        ("a,\nBREAK\n b,BREAK", ["a,\n", ("BREAK",), "\n b,", ("BREAK",), ""]),
        ("BREAK BREAK", ["", ("BREAK",), " ", ("BREAK",), ""]),
        ("a ADDCOL b ADDROW c", ["a ", ("ADDCOL",), " b ", ("ADDROW",), " c"]),
        ("a AND b", ["a ", ("AND",), " b"]),
        ("a :0.5 AND b:0.7", ["a ", (":0.5 AND",), " b", (":0.7",)]),
        ("a AND b:0.7 <lora:x:1>\n", ["a ", ("AND",), " b", (":0.7 <lora:x:1>\n",)]),
        ("a:0.5 <lora:x:1> AND b", ["a", (":0.5 <lora:x:1> AND",), " b"]),
        ("(a BREAK b:1.2), c", ["(a BREAK b:1.2), c"]),
        ("(a BREAK b", ["(a ", ("BREAK",), " b"]),
        ("(a AND b:1.2)", ["(a ", ("AND",), " b:1.2)"]),
        ("{a BREAK b|c} BREAK d", ["{a BREAK b|c} ", ("BREAK",), " d"]),
        ("a # x BREAK y\nb BREAK c", ["a # x BREAK y\nb ", ("BREAK",), " c"]),
        ("a\nb", ["a\nb"]),
    ],
)
def test_break_and_and_separate_regions(prompt, expected):
    assert parts(prompt) == expected
    assert read(prompt).source == prompt


def test_lines_are_regions_when_asked_for():
    prompt = "a, (b\nc),\r\n\nd BREAK e"
    assert parts(prompt, regions="lines") == ["a, (b\nc),", ("\r\n",), "", ("\n",), "d ", ("BREAK",), " e"]
    assert all(region.single_line for region in read(prompt, regions="lines").regions)


def test_a_prompt_is_one_region_when_nothing_separates_but_its_last_weight_stays_last():
    assert parts("a BREAK b AND c :0.5", regions="off") == ["a BREAK b AND c ", (":0.5",)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("1girl , long_hair,", [("1girl", ("1girl",)), ("long_hair", ("long_hair",))]),
        (
            "(red hair, blue eyes:1.2), hat",
            [("(red hair, blue eyes:1.2)", ("red hair", "blue eyes")), ("hat", ("hat",))],
        ),
        (
            "((best  quality)), [lowres]",
            [("((best  quality))", ("best quality",)), ("[lowres]", ("lowres",))],
        ),
        ("miku \\(cosplay\\)", [("miku \\(cosplay\\)", ("miku (cosplay)",))]),
        ("<lora:x:1> 1girl", [("<lora:x:1> 1girl", ("1girl",))]),
        ("cute __animal__", [("cute __animal__", ())]),
        ("{red|blue} hair, smile", [("{red|blue} hair", ()), ("smile", ("smile",))]),
        ("[cat:dog:0.5], [a|b] c", [("[cat:dog:0.5]", ()), ("[a|b] c", ())]),
        (
            "(embedding:x:1.1), embedding:y 1girl",
            [("(embedding:x:1.1)", ()), ("embedding:y 1girl", ("1girl",))],
        ),
        (
            "red /* dark */ hair # note, x\nhat",
            [("red /* dark */ hair", ("red hair",)), ("# note, x", ()), ("hat", ("hat",))],
        ),
        ("(x:1.2, hat", [("(x:1.2", ("x",)), ("hat", ("hat",))]),
        ("hat:1.2)", [("hat:1.2)", ("hat",))]),
        (":), :(, \\||/", [(":)", (":)",)), (":(", (":(",)), ("\\||/", ("\\||/",))]),
        ("1girl，笑顔、hat", [("1girl", ("1girl",)), ("笑顔", ("笑顔",)), ("hat", ("hat",))]),
        (
            "1girl, solo, long hair.",
            [("1girl", ("1girl",)), ("solo", ("solo",)), ("long hair.", ("long hair",))],
        ),
        ("..., dr. stone", [("...", ("...",)), ("dr. stone", ("dr. stone",))]),
        (", ,\n ,", []),
        ("(), -", [("()", ()), ("-", ())]),
    ],
)
def test_units_are_comma_separated_items_and_show_their_plain_words(prompt, expected):
    assert units(prompt) == expected


def test_units_know_where_they_stand():
    (region,) = read(" 1girl,  (hat:1.2)\nA girl stands in the rain, <lora:x:1> smiling. solo ").regions
    assert [region.text[unit.start : unit.end] for unit in region.units] == [
        unit.text for unit in region.units
    ]
    assert [unit.text for unit in region.units][1:] == [
        "(hat:1.2)",
        "A girl stands in the rain, <lora:x:1> smiling.",
        "solo",
    ]


def test_units_with_an_opaque_span_are_protected():
    (region,) = read("a, <lora:x:1> b, __c__, (d:1.1), /* e */ f", protect=["a"]).regions
    assert [unit.protected for unit in region.units] == [True, True, True, False, True]


def test_protected_words_are_not_shown():
    (region,) = read("m40z, red M40Z dress, 1girl. A photo of m40z in the rain.", protect=["m40z"]).regions
    assert region.tags == ("red dress", "1girl")
    assert region.prose == "A photo of in the rain."


def test_sentences_with_unknown_words_are_not_shown():
    (region,) = read("A photo of a __animal__ on a chair. The sky is {blue|red}. It is a fine day.").regions
    assert region.prose == "It is a fine day."


def test_prose_of_a_region_reads_as_one_text():
    (region,) = read(
        "a girl stands in the rain\n1girl\nThe sky is blue.\n<lora:x:1>\nit is a very fine day"
    ).regions
    assert region.prose == "a girl stands in the rain. The sky is blue. it is a very fine day"
    assert region.tags == ("1girl",)


@pytest.mark.parametrize("regions", ["break", "lines", "off"])
def test_replacing_nothing_gives_the_prompt_back(regions):
    prompt = "BREAK(a,\r\n b:1.2)BREAK\tc :0.5 AND [d:e:0.5]\n\n# note\nf AND :1"
    document = read(prompt, regions=regions)
    assert document.source == document.replace([region.text for region in document.regions]) == prompt


def test_new_text_never_touches_a_separator():
    assert read("(a)BREAK(b) :0.5 AND,c:2").replace(["x", "y", "z"]) == "x BREAK y :0.5 AND z :2"
    assert read("BREAK").replace(["x", ""]) == "x BREAK"


def test_replacing_needs_a_text_for_every_region():
    with pytest.raises(ValueError, match="each of 2 regions, got 1"):
        read("a BREAK b").replace(["x"])


def test_unknown_choices_are_named():
    with pytest.raises(ValueError, match="regions must be one of break, lines, off; got 'x'"):
        read("a", regions="x")
    with pytest.raises(ValueError, match="form must be one of auto, tags, prose; got 'x'"):
        read("a", form="x")


@pytest.mark.parametrize(
    ("prompt", "plain"),
    [
        ("1girl, (lake:1.1), night, <lora:misty_style:0.6>", "1girl, lake, night"),
        ("lake, [night]\nThe moon is full.", "lake, night\nThe moon is full."),
        ("sky BREAK ((sea:1.2))", "sky\nsea"),
        (r"star \(sky\), embedding:x, __wild__", "star (sky)"),
        ("", ""),
    ],
)
def test_plain_says_the_same_without_the_syntax(prompt, plain):
    assert read(prompt).plain == plain
