"""Where sentences end."""

import pytest
from hypothesis import given, strategies

from presample.models.prompt.sentences import boundaries, ends_sentence, split_sentences


@pytest.mark.parametrize(
    "text",
    [
        "A cat sits. A dog runs.",
        "a cat sits. | a dog runs.",
        "A 3.5 meter statue by Mr. Smith. | It is tall.",
        "A 3.5 meter statue by Mr. Smith... | U.S. flag.",
        "Art by J. R. R. Tolkien. | A book.",
        "monkey d. luffy",
        "Plan B. | Then they leave.",
        "It was I. | She left.",
        "A scene, e.g. a street, i.e. a place, vs. Dr. Who. | Night.",
        "Painted in the U.S. | The sky is blue.",
        "A U.S. flag at 5 p.m. in St. Louis.",
        "At 5 p.m. | The sun sets.",
        "Cats, dogs, etc. | The sky is red.",
        "No. 5 is alive. | She said no. | He left.",
        "What a day! | The sun shines... and shines. | Is it? | Yes.",
        "what a day! | the sun shines",
        "love live! school idol project",
        "well... maybe",
        'He said "Stop." | Then he left.',
        '"Yes!" she said. | (He did not.) | End',
        "1. A cat\n2. A dog",
        "Para one\n\n | Para two",
        "one line\nanother line",
        "女の子が立っている。 | 空は青い。",
        "A cat sits…  | It sleeps",
        "version 2.1.3 of x",
        "a cat . | a dog",
        "...",
        "",
    ],
)
def test_sentences_end_where_the_bar_stands(text):
    expected = [piece.strip() for piece in text.split("|") if piece.strip()]
    if "|" not in text and text.startswith("A cat sits. A"):
        expected = ["A cat sits.", "A dog runs."]
    assert split_sentences(text.replace(" | ", " ").replace("|", "")) == expected


def test_a_sentence_ends_with_its_closing_quotes():
    assert all(map(ends_sentence, ["a.", "a!", 'a?"', "a…", "(a.)", "空。", "a.’”"]))
    assert not any(map(ends_sentence, ["", "a", "a,", "a)", '"a"', "3.5"]))


@given(strategies.text(alphabet="aB1.!?…。\"' \n)("))
def test_the_sentences_are_the_text_without_blanks_between(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())
    assert all(sentence == sentence.strip() != "" for sentence in split_sentences(text))
    assert boundaries(text) == sorted(set(boundaries(text)))


@pytest.mark.parametrize(
    "text", ["." * 100_000 + "x", "a. " * 33_000, "\t" * 100_000 + "x", "'" * 100_000, "\n " * 50_000]
)
def test_a_hundred_kilobytes_are_split(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())
