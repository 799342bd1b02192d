"""Lines of text: as the standard library breaks them, and with letters that take two columns."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presample.models.lettering import columns, shorten, wrap

WIDE = "月の湖가、"


@given(
    st.lists(st.text("ab-,.(:1", max_size=8)).map(" ".join), st.integers(8, 40), st.sampled_from([None, 1, 4])
)
def test_text_without_long_words_is_broken_and_cut_as_the_standard_library_does(text, most, lines):
    assert wrap(text, most, lines=lines) == textwrap.wrap(text, most, max_lines=lines, placeholder=" …")


@given(st.text(WIDE + "ab é-"), st.integers(8, 40))
def test_lines_are_as_long_as_asked_and_hold_every_letter(text, most):
    lines = wrap(text, most)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(columns(line) <= most for line in lines)
    assert columns(shorten(text, most)) <= most


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("x" * 30, "xxxxxxxx …"),
        ("a title " + "x" * 30, "a title …"),
        ("月" * 30, "月月月月 …"),
        ("湖: " + "月" * 30, "湖: 月月 …"),
        ("two words, three", "two …"),
        ("  as\nit is ", "as it is"),
    ],
)
def test_what_is_cut_keeps_what_fits_of_a_long_word(text, short):
    assert shorten(text, 10) == short


def test_a_wide_letter_takes_two_columns():
    assert columns("aé月가") == 6
