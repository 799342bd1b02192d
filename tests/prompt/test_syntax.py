"""What the lexer calls things, case by case, and that it loses nothing."""

import pytest
from hypothesis import given, strategies

from presample.models.prompt.syntax import COMMENT_STYLES, Kind, depths, lex


def kinds(prompt, **how):
    return [(span.kind.name, span.text) for span in lex(prompt, **how)]


def special(prompt, **how):
    return [(kind, text) for kind, text in kinds(prompt, **how) if kind not in ("TEXT", "COMMA")]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("(x)", [("OPEN", "("), ("CLOSE", ")")]),
        ("((x))", [("OPEN", "("), ("OPEN", "("), ("CLOSE", ")"), ("CLOSE", ")")]),
        ("[x]", [("OPEN", "["), ("CLOSE", "]")]),
        ("(x:1.2)", [("OPEN", "("), ("WEIGHT", ":1.2"), ("CLOSE", ")")]),
        ("(x: -0.5 )", [("OPEN", "("), ("WEIGHT", ": -0.5 "), ("CLOSE", ")")]),
        (
            "(a, (b:1.1):.9)",
            [*[("OPEN", "(")] * 2, ("WEIGHT", ":1.1"), ("CLOSE", ")"), ("WEIGHT", ":.9"), ("CLOSE", ")")],
        ),
        ("(x:y)", [("OPEN", "("), ("CLOSE", ")")]),
        ("x:1.2", []),
        ("(open", [("OPEN", "(")]),
        ("closed)", []),
        ("x:1.2)", []),
        ("\\(x\\)", [("ESCAPE", "\\("), ("ESCAPE", "\\)")]),
        ("\\\\(x)", [("ESCAPE", "\\\\"), ("OPEN", "("), ("CLOSE", ")")]),
        ("x\\", []),
    ],
)
def test_brackets_are_weights_when_they_are_closed(prompt, expected):
    assert special(prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("<lora:a:1:2>", "NETWORK"),
        ("<lora:my__lora, v2 (x):0.8>", "NETWORK"),
        ("<hypernet:a>", "NETWORK"),
        ("<cat-toy>", "NETWORK"),
        ("<|quality|>", "NETWORK"),
        ("embedding:bad_hands", "EMBEDDING"),
        ("embedding:SDXL/neg.safetensors:0.8", "EMBEDDING"),
        ("BREAK", "BREAK"),
        ("ADDCOL", "BREAK"),
        ("AND", "AND"),
        ("[a:b:0.5]", "EDIT"),
        ("[a::5]", "EDIT"),
        ("[:b:.5]", "EDIT"),
        ("[a:0.5]", "EDIT"),
        ("[a : b : 1 ]", "EDIT"),
        ("[(red hair:1.2), hat:[x|y]:0.3]", "EDIT"),
        ("[<lora:a:1>:<lora:b:1>:0.5]", "EDIT"),
        ("[a|b]", "ALTERNATE"),
        ("[a||(b:1.1)]", "ALTERNATE"),
        ("{a|b}", "VARIANT"),
        ("{2$$a|{b, c|d}}", "VARIANT"),
        ("${season={summer|winter}}", "VARIANT"),
        ("__animal__", "WILDCARD"),
        ("__clothes/*_hat__", "WILDCARD"),
        ("__season(x=winter)__", "WILDCARD"),
        ("/* a\nb */", "COMMENT"),
        ("# a, (b", "COMMENT"),
        ("// a", "COMMENT"),
    ],
)
def test_an_opaque_construct_is_one_span(prompt, kind):
    assert kinds(prompt) == [(kind, prompt)]
    assert (kind, prompt) in kinds(f"1girl, {prompt}\n")


@pytest.mark.parametrize(
    "text",
    [
        ":)",
        ":(",
        ">:(",
        ";(, ",
        ">_<",
        ">_<, blue eyes, >_<",
        "^_^",
        "o_o",
        ":d",
        ":3",
        "\\||/",
        "<3",
        "a < b",
        "<lora:x",
        "https://a.example/b",
        "team #1, c#, #ff0000 car",
        "BREAKFAST, LAND, and, break, _AND_",
        "x {a|b",
        "/* never closed",
        "__x, y__ z",
        "______",
        "o__o, t__t",
        "16:9",
        "]a|b",
        "my embedding: x",
    ],
)
def test_what_only_looks_like_syntax_is_text(text):
    assert special(text) == []


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a AND b", ["AND"]),
        ("a :0.5 AND b:0.7", [":0.5 AND", ":0.7"]),
        ("a:-1 AND b : .5\n", [":-1 AND", ": .5"]),
        ("a:0.5 <lora:x:1> AND b", [":0.5", "AND"]),
        ("a AND b:0.7 # note", ["AND", ":0.7"]),
        ("embedding:x:0.5 AND b", [":0.5", "AND"]),
        ("a:0.7", []),
        ("a AND (b:0.7)", ["AND"]),
        ("a AND b:0.7, c", ["AND"]),
        ("(a AND b:1.2)", ["AND"]),
        ("(a:1.2 AND b)", [":1.2 AND"]),
        ("{a AND b|c}, [d AND e:0.5]", ["AND"]),
    ],
)
def test_and_takes_the_weight_before_it_along(prompt, expected):
    assert [span.text for span in lex(prompt) if span.kind is Kind.AND] == expected


def test_brackets_do_not_match_across_and():
    assert special("[a:b AND c:0.5]") == [("OPEN", "["), ("AND", "AND")]


@pytest.mark.parametrize("prompt", ["[(a:b:0.5]", "(a [b:c) d:0.5]", "[a:b]", "[a:b:c]", "[a]"])
def test_square_brackets_that_are_no_editing_are_weights(prompt):
    assert {kind for kind, _ in special(prompt)} <= {"OPEN", "CLOSE"}


@pytest.mark.parametrize(
    ("style", "prompt", "comments"),
    [
        ("auto", "a # b\n#c\n d#e #1", ["# b", "#c"]),
        ("auto", "a // b\r\nhttps://c", ["// b"]),
        ("webui", "a #1, b\nc#d", ["#1, b", "#d"]),
        ("webui", "a // b\nhttps://c", ["// b"]),
        ("none", "a #1, b\n# c // d /* e */", []),
        ("comfyui", "#1 https://c\n/* x */ y", ["//c", "/* x */"]),
        ("comfyui", "# a", []),
    ],
)
def test_comments_are_those_of_the_host(style, prompt, comments):
    assert [text for kind, text in kinds(prompt, comments=style) if kind == "COMMENT"] == comments


def test_a_comment_hides_whatever_is_in_it():
    assert special("a # (b AND <lora:c:1>\nd") == [("COMMENT", "# (b AND <lora:c:1>"), ("NEWLINE", "\n")]


def test_protected_words_are_whole_words_in_any_case():
    protect = ["m40z1d4n", "ohwx man", "C++"]
    found = [
        text
        for kind, text in kinds("M40z1d4n, am40z1d4n, (ohwx_man:1.1), OHWX  man, c++", protect=protect)
        if kind == "PROTECTED"
    ]
    assert found == ["M40z1d4n", "ohwx_man", "OHWX  man", "c++"]


def test_protected_words_in_a_network_stay_part_of_it():
    assert kinds("<lora:ohwx:1>", protect=["ohwx"]) == [("NETWORK", "<lora:ohwx:1>")]


@pytest.mark.parametrize("word", ["", " ", "_", "#", "(a", "a|b", "\\", "."])
def test_any_text_may_be_protected(word):
    prompt = f"x {word} y, (a, a|b"
    assert "".join(span.text for span in lex(prompt, protect=[word])) == prompt


def test_depth_counts_only_brackets_that_are_closed():
    spans = lex("(a, (b), c), ((d, e")
    inside = dict(zip((span.text for span in spans), depths(spans), strict=True))
    assert (inside["a"], inside["b"], inside[" c"], inside["d"], inside[" e"]) == (1, 2, 1, 0, 0)


def test_an_unknown_comment_style_is_named():
    with pytest.raises(ValueError, match="auto, webui, comfyui, none; got 'c'"):
        lex("a", comments="c")


@given(
    strategies.text(),
    strategies.sampled_from(COMMENT_STYLES),
    strategies.lists(strategies.text(), max_size=2),
)
def test_nothing_is_lost_of_any_text(prompt, style, protect):
    spans = lex(prompt, comments=style, protect=protect)
    assert "".join(span.text for span in spans) == prompt
    assert all(prompt[span.start : span.end] == span.text != "" for span in spans)
    assert len(depths(spans)) == len(spans)


@given(strategies.text(alphabet="()[]{}<>:|,\\#/*_ \r\nAND.05ab"))
def test_nothing_is_lost_of_text_that_is_all_syntax(prompt):
    assert "".join(span.text for span in lex(prompt)) == prompt


@pytest.mark.parametrize(
    "prompt",
    [
        *("(" * 50_000 + ")" * 50_000, "[" * 100_000, "{" * 50_000, "([)]" * 25_000, "<a:" * 33_000),
        *("__a " * 25_000, "a#" * 50_000, "(a:" * 33_000, ":0.5 AND " * 11_000, "_" * 100_000, "/*" * 50_000),
        *("[a:" + "1" * 100_000 + "x]", "(a:" + "1" * 100_000 + "x)", "embedding:a:" + "1" * 100_000 + "x"),
    ],
    ids=lambda prompt: prompt[:8],
)
def test_a_hundred_kilobytes_of_brackets_or_digits_are_nothing_special(prompt):
    spans = lex(prompt)
    assert "".join(span.text for span in spans) == prompt
    assert len(depths(spans)) == len(spans)
