"""What a prompt holds of an expansion."""

from dataclasses import replace

import pytest

from presample.models.tipo.expand import expand, load_tipo
from presample.models.tipo.expansion import Request
from presample.models.tipo.held import Made, Words, holds, made_words, prompt_words
from presample.models.tipo.layouts import lay_out
from presample.models.tipo.options import ExpandOptions


@pytest.fixture(scope="module")
def tipo():
    return load_tipo("tipo-tiny")


def words(tags="", sentences=()):
    return Words(frozenset(tags), frozenset(sentences))


@pytest.mark.parametrize(
    ("prompt", "added", "held"),
    [
        (words("abcdef"), words("abcdefghijkl"), True),
        (words("abcdefxyz"), words("abcdefghijklm"), False),
        (words("abcde"), words("abcde"), False),  # any prompt may have these five
        (words("", ["it snows"]), words("a", ["it snows"]), True),
        (words("", ["it snows"]), words("ab", ["it snows"]), False),
        (words("abc"), words(), False),
    ],
)
def test_half_is_held_and_many_tags_or_a_sentence(prompt, added, held):
    assert holds(prompt, Made(added), share=0.5) is held


@pytest.mark.parametrize(
    ("prompt", "added", "own", "held"),
    [
        ("abcxyz", "abc", "xyz", True),
        ("abcxyz", "abcdef", "wxyz", True),
        ("abcxyz", "abcdef", "qrstxyz", False),  # most of the subject is another
        ("abcxy", "abc", "xy", False),
        ("abtuvwxyz", "ab", "tuvwxyz", False),
        ("tuvwxyz", "", "tuvwxyz", False),
    ],
)
def test_a_few_tags_are_held_beside_what_the_user_said(prompt, added, own, held):
    assert holds(words(prompt), Made(words(added), words(own)), share=0.5) is held


@pytest.mark.parametrize("layout", ["verbatim", "additions_first", "prose_then_tags", "pony", "flux"])
@pytest.mark.parametrize(
    "prompt", ["lake, night", "(1girl:1.2), lake BREAK city, rain AND forest :0.7", "a lake at night."]
)
def test_an_expansion_holds_what_it_added_whatever_stands_around_it(tipo, layout, prompt):
    request = Request(prompt, options=ExpandOptions(seed=3), comments="webui")
    made = lay_out(expand(request, tipo), layout, tags=tipo.tags)
    styled = replace(request, prompt=f"watercolor, {made.prompt}, (dim light:1.3)")
    said, found = prompt_words(styled, tags=tipo.tags), made_words(made, tags=tipo.tags)
    assert len(found.added) > 2
    assert holds(said, found, share=0.9)
    assert not holds(prompt_words(request, tags=tipo.tags), found, share=0.5)


def test_words_that_are_in_every_prompt_are_not_the_users_own(tipo):
    made = expand(Request("masterpiece, best quality, absurdres, 1girl, lake, safe"), tipo)
    assert made_words(made, tags=tipo.tags).own == words(["1girl", "lake"])
