"""Prompts as people write them: 1,632 of PartiPrompts and 560 lists of tags go through expansion whole."""

from pathlib import Path

import pytest
from expansions_for_tests import added_prose, added_tags, run

from presample.models.prompt.document import canonical
from presample.models.prompt.syntax import OPAQUE, lex

DATA = Path(__file__).parents[1] / "data"


def prompts() -> list[str]:
    names = ("prompts.txt", "tag_prompts.txt")
    lines = [(DATA / name).read_text(encoding="utf-8").rstrip("\n").split("\n") for name in names]
    return [line.replace("\\n", "\n") for part in lines for line in part]


def check(prompt, tipo, **options):
    """One expansion: the user's text is there, and nothing of what was added is doubled, broken or unsafe."""
    expansion = run(prompt, tipo, **options)
    assert expansion.original == expansion.user_prompt == prompt
    at = 0
    for region in expansion.regions:
        # What follows // may be a comment, and then additions stand before it.
        for text in region.text.strip().split("//"):
            at = expansion.prompt.index(text, at) + len(text)
    added = added_tags(expansion)
    assert added or added_prose(expansion) or expansion.notes
    for region in expansion.regions:
        own = {canonical(tag) for tags in region.user_tags.values() for tag in tags}
        keys = [canonical(tag) for tags in region.added_tags.values() for tag in tags]
        assert len({*keys}) == len(keys)
        assert not own & {*keys}
    for text in [*added, *added_prose(expansion)]:
        assert text == " ".join(text.split())
        assert "\ufffd" not in text
    opaque = [[span.text for span in lex(text) if span.kind in OPAQUE] for text in (prompt, expansion.prompt)]
    assert opaque[0] == opaque[1]
    return expansion


@pytest.mark.parametrize("share", range(6))
def test_a_sample_of_real_prompts_keeps_every_word(tipo, share):
    for number, prompt in list(enumerate(prompts()))[share * 6 :: 219]:
        check(prompt, tipo, seed=number, prose_length="very_short" if number % 2 else "none")


@pytest.mark.slow
def test_all_real_prompts_keep_every_word(tipo):
    for number, prompt in enumerate(prompts()):
        lengths = ("none", "very_short", "short")
        tags, prose = lengths[number % 3], lengths[number // 3 % 3]
        tags = "very_short" if tags == prose == "none" else tags
        try:
            check(prompt, tipo, seed=number, tag_length=tags, prose_length=prose)
        except Exception as error:
            raise AssertionError(f"prompt {number}, {prompt!r}") from error
