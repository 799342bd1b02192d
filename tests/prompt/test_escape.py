"""Additions that every host reads as plain text."""

import pytest
from hypothesis import given, strategies

from presample.models.prompt.document import canonical, escape, unescape
from presample.models.prompt.syntax import COMMENT_STYLES, Kind, lex

PLAIN = {Kind.TEXT, Kind.COMMA, Kind.ESCAPE}


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("long hair", "long hair"),
        ("hatsune miku (cosplay)", "hatsune miku \\(cosplay\\)"),
        ("[x] {y|z}", "\\[x\\] \\{y\\|z\\}"),
        ("\\||/", "\\\\\\|\\|/"),
        (":)", ":\\)"),
        (":(", ":\\("),
        (">_<", ">_<"),
        ("<3", "<3"),
        ("a\\b", "a\\\\b"),
        ("re:zero", "re:zero"),
        ("A girl stands, smiling.", "A girl stands, smiling."),
        (">__<", ">__<"),
    ],
)
def test_brackets_and_bars_get_a_backslash(text, safe):
    assert escape(text) == safe
    assert unescape(safe) == text


@pytest.mark.parametrize(
    "text",
    [
        *("#compass", "a // b", "https://x", "/* a", "a */", "<lora:a:1>", "<lora:a", "<cat-toy>", "__x__"),
        *("a__b", "o__o", "salt AND pepper", "BREAK", "ADDCOL", "embedding:x", "a\nb", "a\r"),
    ],
)
def test_text_that_hosts_act_on_has_no_safe_spelling(text):
    assert escape(text) is None


@given(strategies.text(alphabet="ab1_ ()[]{}|\\<>:#/*.,;AND"))
def test_an_escaped_text_is_plain_in_every_host_and_can_be_read_back(text):
    safe = escape(text)
    if safe is not None:
        assert unescape(safe) == text
        for style in COMMENT_STYLES:
            assert {span.kind for span in lex(safe, comments=style)} <= PLAIN


@given(strategies.text(alphabet="ab1_ ()[]{}|\\<>:#/*.,;"), strategies.sampled_from(COMMENT_STYLES))
def test_an_escaped_text_changes_nothing_around_it(text, style):
    def around(inner):
        spans = lex(f"(a, {inner}, b:1.2), [c:d:0.5], {inner} {{x|y}} AND z", comments=style)
        return [(span.kind, span.text) for span in spans if span.kind not in PLAIN]

    safe = escape(text)
    if safe is not None:
        assert around(safe) == around("x")


@pytest.mark.parametrize(
    ("tag", "key"),
    [
        ("Long_Hair", "long hair"),
        (" long  hair ", "long hair"),
        ("miku \\(cosplay\\)", "miku (cosplay)"),
        ("^_^", "^_^"),
        ("o_o", "o_o"),
        ("score_9", "score 9"),
        ("", ""),
        ("\ufeff1girl", "1girl"),
        ("1girl\u200b", "1girl"),
        ("\u200e1girl\u200f", "1girl"),
        ("long\u00ad_hair", "long hair"),
        ("^_^\u200b", "^_^"),
        ("\u200b", ""),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\U0001f680"),
        ("猫", "猫"),
        ("é", "é"),
    ],
)
def test_tags_are_compared_by_their_canonical_key(tag, key):
    assert canonical(tag) == key == canonical(key)
