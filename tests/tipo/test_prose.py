"""Sentences: joined, compared, and caught when they repeat themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presample.models.tipo.prose import join_sentences, sentence_key, stutters


def test_joined_sentences_each_have_a_stop():
    assert (
        join_sentences(["A girl", "It rains!", 'He says "no."', "Why?", "…"])
        == 'A girl. It rains! He says "no." Why? …'
    )
    assert join_sentences([]) == ""


@pytest.mark.parametrize("other", ["a girl  stands", "A GIRL STANDS!", 'A girl stands."', "A girl\nstands…"])
def test_sentences_that_say_the_same_have_the_same_key(other):
    assert sentence_key(other) == sentence_key("A girl stands.")


def test_sentences_that_say_something_else_have_another_key():
    assert sentence_key("A girl stands there.") != sentence_key("A girl stands.")


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("", False),
        ("a tree", False),
        ("a very very tall tree", False),
        ("a very very very", True),
        ("An inn... All is well", False),
        ("a tree and a tree", False),
        ("flowers and flowers and", True),
        ("red red blue", False),
        ("one two one", False),
        ("one two one two", True),
        ("one two three\ntwo three", True),
        ("abab", False),
        ("the sky the Sky", False),
    ],
)
def test_words_said_twice_in_a_row_are_a_stutter(text, repeats):
    assert stutters(text) == repeats


@given(st.lists(st.sampled_from("ab"), max_size=14))
def test_a_stutter_is_seen_as_soon_as_it_is_there(words):
    seen = any(stutters(" ".join(words[:end])) for end in range(len(words) + 1))
    runs = [
        (i, n) for n in range(1, 8) for i in range(len(words)) if words[i : i + n] == words[i + n : i + 2 * n]
    ]
    assert seen == (
        any(n > 1 for _, n in runs) or any(words[i : i + 3] == [w] * 3 for i, w in enumerate(words))
    )
