"""What an artist chooses among additions: tags to keep, tags to drop, one task alone, a stored text."""

import json
from dataclasses import replace

import pytest
from expansions_for_tests import MIXED, added_tags, run
from frozen_for_tests import freeze
from hypothesis import given
from hypothesis import strategies as st

from presample.models.prompt.document import canonical, escape
from presample.models.tipo.expand import expand, expand_many
from presample.models.tipo.expansion import Request
from presample.models.tipo.frozen import frozen_expansions
from presample.models.tipo.layouts import lay_out
from presample.models.tipo.options import TASK_CHOICES, ExpandOptions
from presample.models.tipo.tags import load_tags

TAGS = "1girl, lake, night"
BOTH = "1girl, lake, night\nA girl stands by the water."
TWO = "lake, night\nBREAK\nforest, autumn"


def request(prompt, *, prose="", keep=(), drop=(), **options):
    return Request(prompt, prose, options=ExpandOptions(**options), keep=tuple(keep), drop=tuple(drop))


def region_tags(region):
    return [tag for tags in region.added_tags.values() for tag in tags]


@pytest.mark.parametrize("seed", range(4))
def test_kept_tags_come_first_and_again_whatever_the_seed(tipo, seed):
    keep = region_tags(run(TAGS, tipo, seed=77).regions[0])[:3]
    found = expand(request(TAGS, keep=keep, seed=seed), tipo)
    assert set(keep) <= set(added_tags(found))
    assert found.prompt.startswith(TAGS + ", ")
    assert all(escape(tag) in found.prompt for tag in keep)
    assert found.user_prompt == TAGS


def test_a_kept_tag_beats_the_users_ban_and_is_never_there_twice(tipo):
    found = expand(request(TAGS, keep=["Night", "fishing boat", "fishing_boat"], ban="*boat*"), tipo)
    assert [canonical(tag) for tag in added_tags(found)].count("fishing boat") == 1
    assert "night" not in [canonical(tag) for tag in added_tags(found)]


def test_what_is_kept_counts_towards_the_length(tipo):
    keep = [f"thing {i}" for i in range(17)]
    found = expand(request("lake", keep=keep, tag_length="very_short", prose_length="none"), tipo)
    assert added_tags(found) == keep
    assert any("very_short" in note for note in found.notes)


def test_a_tag_is_kept_in_the_region_it_came_from(tipo):
    found = expand(request(TWO, keep=["red moon", (1, "blue moon"), (7, "no such part")]), tipo)
    first, second = map(region_tags, found.regions)
    assert "red moon" in first
    assert "red moon" not in second
    assert "blue moon" in second
    assert "blue moon" not in first
    assert "no such part" not in found.prompt


def test_a_kept_text_that_would_be_syntax_is_refused_with_the_reason(tipo):
    found = expand(request("lake", keep=["<lora:x:1>"]), tipo)
    assert "<lora" not in found.prompt
    assert [refusal.text for refusal in found.refusals if refusal.text == "<lora:x:1>"]


def test_the_model_sees_what_is_kept(tipo, requests):
    expand(request(TAGS, keep=["fishing boat"]), tipo)
    assert requests
    assert all("fishing boat" in text for text in requests)


@pytest.mark.parametrize("seed", range(4))
def test_dropped_tags_never_come_back_and_are_no_patterns(tipo, seed):
    drop = region_tags(expand(request(TAGS, seed=seed), tipo).regions[0])[:5]
    found = expand(request(TAGS, drop=drop, seed=seed), tipo)
    assert not {canonical(tag) for tag in drop} & {canonical(tag) for tag in added_tags(found)}
    same = expand(request(TAGS, drop=["*", "/.*/", ":)", "("], seed=seed), tipo)
    assert same.prompt == expand(request(TAGS, seed=seed), tipo).prompt


def test_no_sentence_says_what_was_dropped(tipo):
    for seed in range(4):
        plain = run("A lake at night.", tipo, seed=seed, tag_length="none", prose_length="long")
        word = next(w for w in plain.regions[0].added_prose[0].rstrip(".").split() if len(w) > 4)
        options = {"seed": seed, "tag_length": "none", "prose_length": "long"}
        found = expand(request("A lake at night.", drop=[word], **options), tipo)
        assert not any(word in sentence.split() for sentence in found.regions[0].added_prose)


@pytest.mark.parametrize("task", TASK_CHOICES[1:])
def test_a_task_writes_what_its_name_says_and_nothing_else(tipo, task):
    found = expand(request(BOTH, task=task, tag_length="very_long", prose_length="long"), tipo)
    writes = {"tag" if name == "tag" else "prose" for name in task.split("_to_")[1:]} or {"tag"}
    assert bool(added_tags(found)) == ("tag" in writes)
    assert bool(found.regions[0].added_prose) == ("prose" in writes)
    assert {step.task for step in found.passes} == {task}


@pytest.mark.parametrize("task", ["tags", "tag_to_long"])
def test_a_task_starts_from_characters_series_and_artists_too(tipo, task):
    found = run("hatsune miku, vocaloid", tipo, task=task)
    assert found.prompt.startswith("hatsune miku, vocaloid")
    assert bool(added_tags(found)) == (task == "tags")
    assert bool(found.regions[0].added_prose) == (task == "tag_to_long")


def test_a_task_that_has_nothing_to_start_from_says_so(tipo):
    with pytest.raises(ValueError, match="starts from prose"):
        run(TAGS, tipo, task="long_to_tag")
    with pytest.raises(ValueError, match="starts from tags"):
        run("A girl stands by the water.", tipo, task="tag_to_long")
    with pytest.raises(ValueError, match="the length of it is none"):
        run(BOTH, tipo, task="tag_to_long", prose_length="none")


def test_a_part_that_a_task_has_nothing_to_do_with_stays_as_it_is(tipo):
    found = run("lake, night\nBREAK\nA girl stands by the water.", tipo, task="long_to_tag")
    assert found.prompt.startswith("lake, night\nBREAK\n")
    assert any(note.startswith("part 1 of the prompt stays") for note in found.notes)


@pytest.mark.parametrize("layout", ["verbatim", "additions_first", "<|general|>. <|prose|> <|generated|>"])
@pytest.mark.parametrize("prompt", [TAGS, BOTH, MIXED, TWO, "A girl stands by the water.", ""])
def test_an_expansion_laid_out_again_is_what_the_layout_would_have_made(tipo, prompt, layout):
    tags = load_tags()
    made = run(prompt, tipo, prose_length="long")
    wanted = run(prompt, tipo, prose_length="long", layout=layout)
    again = lay_out(made, layout, tags=tags)
    assert (again.prompt, again.user_prompt) == (wanted.prompt, wanted.user_prompt)
    assert lay_out(again, "verbatim", tags=tags).prompt == made.prompt


def test_a_wrong_layout_is_named_before_anything_is_written(tipo):
    with pytest.raises(ValueError, match="a layout must be one of"):
        lay_out(run(TAGS, tipo), "nonsense", tags=load_tags())
    with pytest.raises(ValueError, match="a layout must be one of"):
        run(TAGS, tipo, layout="nonsense")


@pytest.mark.parametrize("prompt", [TAGS, BOTH, MIXED, TWO])
def test_frozen_texts_come_back_byte_for_byte_with_what_is_the_users_own_told_apart(tipo, prompt):
    made = expand_many(request(prompt, seed=5), 3, tipo)
    found = frozen_expansions(made[0].request, freeze([each.prompt for each in made]), tags=tipo.tags)
    assert [each.prompt for each in found] == [each.prompt for each in made]
    assert [each.seed for each in found] == [5, 6, 7]
    for old, new in zip(made, found, strict=True):
        assert (new.original, new.user_prompt) == (old.original, old.user_prompt)
        own = {canonical(t) for region in old.regions for t in region_tags(region)}
        assert {canonical(tag) for tag in added_tags(new)} == own


def test_frozen_variations_of_a_tree_keep_the_seed_that_all_of_them_have(tipo):
    made = expand_many(request(TAGS, seed=5, variety="tree"), 3, tipo)
    found = frozen_expansions(made[0].request, freeze([each.prompt for each in made]), tags=tipo.tags)
    assert [each.seed for each in found] == [each.seed for each in made] == [5, 5, 5]


LINES = st.lists(
    st.sampled_from(["---", " --- ", "\\---", "\t\\\\---", "a", "a---", "", " ", "\\", "----"]), min_size=1
)


@given(st.lists(LINES.map("\n".join), min_size=1, max_size=4))
def test_a_line_of_a_prompt_that_looks_like_a_parting_one_is_no_such_line(prompts):
    found = frozen_expansions(request("lake"), freeze(prompts), tags=load_tags())
    assert [each.prompt for each in found] == prompts


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("a\n---\nb\n---", ["a", "b"]),
        ("---\na\n---\n---\nb\n --- \n", ["a", "b"]),
        ("\n\n---\na\n---\n\n---\r\nb\r\n---\r\n\r\n", ["a", "b"]),
        ("a\n---\n\\\n---\n\\\\", ["a", "", "\\"]),
        ("---- a\n---b", ["---- a\n---b"]),
    ],
)
def test_parting_lines_that_an_edit_has_left_behind_part_nothing(text, prompts):
    found = frozen_expansions(request("lake"), text, tags=load_tags())
    assert [each.prompt for each in found] == prompts


@pytest.mark.parametrize("text", ["", " \n", "---", "---\n \n---\n"])
def test_a_frozen_text_of_nothing_is_refused(text):
    with pytest.raises(ValueError, match="must have a text"):
        frozen_expansions(request("lake"), text, tags=load_tags())


def test_an_edited_frozen_text_is_read_as_it_stands():
    text = "lake, (night:1.2), new moon\n---\nlake"
    first, second = frozen_expansions(request("lake, (night:1.2), stars"), text, tags=load_tags())
    assert first.prompt == "lake, (night:1.2), new moon"
    assert first.tags == "lake, (night:1.2), new moon"
    assert first.added == "new moon"
    assert second.prompt == "lake"
    assert second.added == ""


LORA = "1girl, night sky, <lora:x:1>, (tree:1.3) # a note"
TWO_FROZEN = "1girl, lake, night sky BREAK forest, tree"


@pytest.mark.parametrize("layout", ["verbatim", "additions_first", "<|tags|>, <|prompt|>\n<|prose|>"])
@pytest.mark.parametrize("asked", ["1girl, lake", "1girl BREAK lake BREAK night", ""])
@pytest.mark.parametrize("text", [TWO_FROZEN, LORA, "2girls, river", "lake\nA boat, adrift, waits."])
def test_a_frozen_text_is_laid_out_as_it_stands_whatever_the_prompt_is_now(text, asked, layout):
    (frozen,) = frozen_expansions(request(asked, seed=3), text, tags=load_tags())
    new = lay_out(frozen, layout, tags=load_tags())
    assert new.prompt == text
    assert new.user_prompt == asked
    assert (new.original, new.seed, new.regions) == (asked, 3, frozen.regions)


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        (TWO_FROZEN, "score, 1girl, lake, night sky. BREAK score, forest, tree."),
        ("A boat waits.\nnight, 1girl, <lora:x:1>", "<lora:x:1>, score, 1girl, night. A boat waits."),
        ("2girls, river", "score, 2girls, river."),
    ],
)
def test_a_layout_arranges_a_frozen_text_and_another_one_begins_anew(text, prompt):
    (frozen,) = frozen_expansions(request("1girl, lake", prose="It snows."), text, tags=load_tags())
    first = lay_out(frozen, "<|kept|>, score, <|special|>, <|general|>. <|prose|>", tags=load_tags())
    assert first.prompt == prompt
    assert first.user_prompt == "score, 1girl, lake. It snows."
    again = lay_out(first, "verbatim", tags=load_tags())
    assert (again.prompt, again.user_prompt) == (text, "1girl, lake\nIt snows.")


def test_an_empty_frozen_text_is_refused():
    with pytest.raises(ValueError, match="must have a text"):
        frozen_expansions(request("lake"), " \n", tags=load_tags())


def test_an_expansion_as_json_says_what_was_asked(tipo):
    said = json.loads(json.dumps(expand(request(TAGS, keep=[(0, "boat")], drop=["moon"]), tipo).as_dict()))
    assert said["request"]["prompt"] == TAGS
    assert said["request"]["options"]["tag_length"] == "long"
    assert said["request"]["keep"] == [[0, "boat"]]


def test_drop_and_keep_together_keep(tipo):
    found = expand(replace(request(TAGS), keep=("boat",), drop=("boat",)), tipo)
    assert "boat" in added_tags(found)
