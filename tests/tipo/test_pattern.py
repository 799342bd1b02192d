"""The linear-time matcher agrees with Python's `re` wherever both understand a pattern, and never hangs."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presample.models.tipo.pattern import PatternError, compile_pattern, compile_wildcard

LETTERS = "abAB1_ -é"
ESCAPES = (r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\.", r"\-", r"\(", r"\)", r"\\", r"\n")
PLACES = ("^", "$", r"\b", r"\B", r"\A", r"\Z")
CLASSES = ("[ab]", "[^ab]", "[a-z1]", r"[^\w ]", "[]a]", "[a-]", r"[\d-]", ".", "{", "{}", "]")
ATOMS = st.sampled_from([*LETTERS, *ESCAPES, *PLACES, *CLASSES])
TEXTS = st.text(st.sampled_from([*LETTERS, ".", "{", "]", "}", "\n", "(", "\\"]), max_size=8)


def _grow(parts):
    repeats = st.sampled_from(
        ["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{,2}", "{0}", "{1,3}?"]
    )
    return st.one_of(
        st.lists(parts, max_size=4).map("".join),
        st.lists(parts, min_size=2, max_size=3).map("|".join).map("({})".format),
        st.tuples(st.sampled_from(["({}){}", "(?:{}){}"]), parts, repeats).map(lambda t: t[0].format(*t[1:])),
    )


SOURCES = st.recursive(ATOMS, _grow, max_leaves=8)


def _compile_both(source: str, **flags):
    """Returns Python's pattern and ours; None for a pattern that either of them refuses."""
    try:
        return re.compile(source, **({"flags": re.I} if flags else {})), compile_pattern(source, **flags)
    except (re.error, PatternError):
        return None


@settings(max_examples=1500)
@given(SOURCES, st.lists(TEXTS, min_size=1, max_size=6))
def test_every_way_of_matching_agrees_with_re(source, texts):
    both = _compile_both(source)
    if both is None:
        return
    python, ours = both
    for text in texts:
        if text or r"\B" not in source:  # whether \B lies in an empty text depends on Python's version
            assert ours.fullmatch(text) == bool(python.fullmatch(text)), (source, text)
            assert ours.search(text) == bool(python.search(text)), (source, text)
            assert ours.prefix(text) == bool(python.match(text)), (source, text)


@given(SOURCES, TEXTS)
def test_case_can_be_ignored_as_in_re(source, text):
    both = _compile_both(source, ignore_case=True)
    if both is not None and (text or r"\B" not in source):
        assert both[1].fullmatch(text) == bool(both[0].fullmatch(text)), (source, text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"1\b.+", "1 x"),
        (r"_\Ba", "_a"),
        (r"1\Ba", "1a"),
        (r"\d", "²"),
        (r"\d", "٣"),
        (r"\w", "²"),
        (r"\s", "\u3000"),
        ("a$", "a\n"),
        ("a$\n", "a\n"),
        ("a$b", "ab"),
        (r"a\Z", "a\n"),
        (".", "\n"),
        ("()()()()()()()()()()()()()()()()()()()()()()()()a", "a"),
        ("(|a)+b", "aab"),
        ("a{2}b{0}", "aa"),
        ("a{,}", "aaa"),
        ("a{x}", "a{x}"),
        ("[]]", "]"),
        ("[^]]", "a"),
        ("[a-]+", "-a"),
    ],
)
def test_the_fine_points_agree_with_re(source, text):
    pattern = compile_pattern(source)
    assert pattern.fullmatch(text) == bool(re.fullmatch(source, text))
    assert pattern.search(text) == bool(re.search(source, text))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a", "A"),
        ("A", "a"),
        ("É", "é"),
        ("é", "É"),
        ("[A-Z]+", "abc"),
        ("[^a]", "A"),
        ("s", "ſ"),
        ("ж", "Ж"),
    ],
)
def test_the_same_letters_are_alike_as_in_re(source, text):
    assert compile_pattern(source, ignore_case=True).fullmatch(text) == bool(re.fullmatch(source, text, re.I))
    assert compile_pattern(source).fullmatch(text) == bool(re.fullmatch(source, text))


@given(SOURCES)
def test_what_re_refuses_is_refused_here_too(source):
    try:
        re.compile(source)
    except re.error:
        with pytest.raises(PatternError):
            compile_pattern(source)


@given(st.text(max_size=30))
def test_any_text_is_a_pattern_or_a_clear_error(source):
    error = None
    try:
        compile_pattern(source).fullmatch(source)
    except PatternError as caught:
        error = caught
    assert error is None or "allowed are" in str(error)
    assert error is None or 0 <= error.position <= len(source)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("(a", "never closed"),
        ("a)", "no '(' before it"),
        ("[a", "never closed"),
        ("a**", "cannot be repeated"),
        ("a*+", "cannot be repeated"),
        (r"\b+", "cannot be repeated"),
        ("*a", "nothing before it"),
        ("a|{2}", "nothing before it"),
        ("a{3,1}", "m <= n"),
        ("a{5000}", "may count to"),
        ("((a{30}){30}){30}", "parts"),
        ("(?=a)", "lookaround"),
        ("(?i)a", "flags"),
        ("(?P<n>a)", "names"),
        (r"(a)\1", "backreference"),
        (r"\q", "escape"),
        ("a\\", "must follow"),
        ("[z-a]", "go up"),
        (r"[a-\d]", "go up"),
        ("(" * 30 + ")" * 30, "nested"),
        ("x" * 201, "200 characters"),
    ],
)
def test_an_error_says_what_must_hold_and_where(source, reason):
    with pytest.raises(PatternError, match=re.escape(reason)) as caught:
        compile_pattern(source)
    assert caught.value.position <= len(source)


@pytest.mark.parametrize(
    "source",
    [
        "(a*)*b",
        "(a+)+b",
        "(a|a)*b",
        "(a|aa)+b",
        "(.*)*b",
        r"(\w+\s?)*b",
        "(a?){90}a{90}b",
        "(?:a|b)*a(?:a?|b?|[ab]){90}b",
        "((((((((((a*)*)*)*)*)*)*)*)*)*)*b",
        "(a*?)*?b|(|a)+b",
    ],
)
def test_patterns_that_make_a_backtracker_hang_take_linear_time(source):
    pattern, text = compile_pattern(source), "a" * 10_000
    started = time.process_time()
    assert not pattern.fullmatch(text)
    assert not pattern.search(text)
    assert time.process_time() - started < 20  # a backtracker would need longer than the universe has had


def test_the_largest_machine_forgets_its_steps_rather_than_fill_memory():
    pattern = compile_pattern("(?:a|b)*a(?:a|b){14}")
    for number in range(3000):
        text = f"{number:016b}".replace("0", "a").replace("1", "b")
        assert pattern.fullmatch(text) == (text[-15] == "a")
    assert len(pattern._steps) <= 2_000


def test_with_words_a_match_begins_and_ends_at_edges_of_words():
    pattern = compile_pattern("^h.t$", words=True)
    assert pattern.search("a hat!")
    assert pattern.search("hut-like")
    assert not pattern.search("that")
    assert not pattern.search("hats")


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("*hat", "that", True),
        ("*hat", "hats", False),
        ("a*b*c", "axxbc", True),
        ("**", "", True),
        ("(*)", "(x)", True),
        ("a.c", "abc", False),
        ("*", "two words", True),
    ],
)
def test_a_star_stands_for_any_characters(pattern, text, found):
    assert compile_wildcard(pattern).fullmatch(text) == found


def test_in_a_sentence_a_star_stays_inside_a_word():
    assert compile_wildcard("*hair*", words=True).search("a pink hairband")
    assert compile_wildcard("blue * hair", words=True).search("her blue wavy hair")
    assert not compile_wildcard("blue*hair", words=True).search("blue eyes and hair")
