"""Many prompts in one text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presample.models.prompt.listing import list_prompts


@pytest.mark.parametrize(
    ("text", "how", "found"),
    [
        ("a\nb\n\n c ", {}, ["a", "b", "c"]),
        ("\ufeffa\r\nb\rc", {}, ["a", "b", "c"]),
        ("a\nb\n\nc\n \t\n\nd", {"separator": "blank lines"}, ["a\nb", "c", "d"]),
        ("a\nb\nc", {"start": 1}, ["b", "c"]),
        ("a\nb\nc", {"start": 1, "count": 1}, ["b"]),
        ("a\nb", {"count": 9}, ["a", "b"]),
        ("", {}, []),
    ],
)
def test_prompts_are_parted_and_trimmed(text, how, found):
    assert list_prompts(text, **how) == found


@pytest.mark.parametrize("how", [{"separator": "commas"}, {"start": 2}, {"start": -1}])
def test_a_wrong_wish_is_named(how):
    with pytest.raises(ValueError, match="must be"):
        list_prompts("a\nb", **how)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\x1c\ufeff")).filter(lambda t: t.strip())))
def test_what_was_joined_by_lines_comes_apart_again(prompts):
    assert list_prompts("\n".join(prompts)) == [prompt.strip() for prompt in prompts]
