"""What a prompt holds of an expansion."""

from dataclasses import replace

import pytest

from presample.models.tipo.expand import expand, load_tipo
from presample.models.tipo.expansion import Request
from presample.models.tipo.held import Words, added_words, holds, prompt_words
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
        (words("abc"), words("abcdef"), True),
        (words("abcxyz"), words("abcdefg"), False),
        (words("ab"), words("ab"), False),  # any prompt may have these two
        (words("", ["it snows"]), words("a", ["it snows"]), True),
        (words("", ["it snows"]), words("ab", ["it snows"]), False),
        (words("abc"), words(), False),
    ],
)
def test_half_is_held_and_more_than_a_few_tags(prompt, added, held):
    assert holds(prompt, added, share=0.5) is held


@pytest.mark.parametrize("layout", ["verbatim", "additions_first", "prose_then_tags", "pony", "flux"])
@pytest.mark.parametrize(
    "prompt", ["lake, night", "(1girl:1.2), lake BREAK city, rain AND forest :0.7", "a lake at night."]
)
def test_an_expansion_holds_what_it_added_whatever_stands_around_it(tipo, layout, prompt):
    request = Request(prompt, options=ExpandOptions(seed=3), comments="webui")
    made = lay_out(expand(request, tipo), layout, tags=tipo.tags)
    styled = replace(request, prompt=f"watercolor, {made.prompt}, (dim light:1.3)")
    said, added = prompt_words(styled, tags=tipo.tags), added_words(made, tags=tipo.tags)
    assert len(added) > 2
    assert holds(said, added, share=0.9)
    assert not holds(prompt_words(request, tags=tipo.tags), added, share=0.5)
