"""Parts of a prompt that make one picture: what the user says in one holds for what is added to all."""

import pytest
from expansions_for_tests import added_tags, run

from presample.models.prompt.document import canonical, read
from presample.models.tipo.conflicts import SCENE
from presample.models.tipo.layouts import of_one_picture

TAGS_ALONE = {"tag_length": "short", "prose_length": "none"}


def tags_of_parts(tipo, prompt, count=4, **options):
    """The added tags of each part, by variation."""
    made = run(prompt, tipo, count, **{**TAGS_ALONE, **options})
    return [
        [{canonical(tag) for tags in region.added_tags.values() for tag in tags} for region in each.regions]
        for each in made
    ]


def said_of(axis):
    """The tags that say something about one question, by answer."""
    return {answers: set(tags.split(", ")) for answers, tags in SCENE[axis].items()}


@pytest.mark.parametrize("prompt", ["a girl, lake", "two girls, beach", "1girl and 1boy, park", "man, lake"])
def test_who_is_named_in_words_is_there(tipo, prompt):
    for each in run(prompt, tipo, 4, **TAGS_ALONE):
        assert "no humans" not in added_tags(each)


def test_a_series_with_a_man_in_its_name_has_nobody_in_it(tipo):
    found = run("one punch man, lake", tipo, 4, **TAGS_ALONE)
    assert any("no humans" in added_tags(each) for each in found)


@pytest.mark.parametrize(
    ("prompt", "regions", "never"),
    [
        ("1girl, kimono BREAK lake, mountain", "break", [set(), {"no humans"}]),
        ("1girl, kimono AND lake, mountain :0.7", "break", [set(), {"no humans"}]),
        ("1girl, kimono\nlake, mountain", "lines", [set(), {"no humans"}]),
        ("lake, mountain BREAK a girl, kimono", "break", [{"no humans"}, set()]),
        ("1girl, night BREAK lake, mountain", "break", [set(), {"no humans", "day", "sunny", "blue sky"}]),
        ("1girl BREAK 1boy", "break", [{"solo"}, {"solo"}]),
    ],
)
def test_no_part_contradicts_what_the_user_says_in_another(tipo, prompt, regions, never):
    for parts in tags_of_parts(tipo, prompt, regions=regions):
        assert [found & wrong for found, wrong in zip(parts, never, strict=True)] == [set()] * len(never)


def test_what_may_contradict_is_added_to_a_part_as_before(tipo):
    found = tags_of_parts(tipo, "1girl, kimono BREAK lake, mountain", avoid_conflicts=False)
    assert any("no humans" in second for _, second in found)


@pytest.mark.parametrize("axis", ["season", "hour"])
def test_what_is_added_to_one_part_is_not_contradicted_in_the_next(tipo, axis):
    told = 0
    for parts in tags_of_parts(tipo, "mountain, lake BREAK mountain, tree BREAK lake, tree", 6):
        everywhere = set().union(*parts)
        open_ = [set(answers.split()) for answers, tags in said_of(axis).items() if tags & everywhere]
        told += len(open_) > 0
        assert not open_ or set.intersection(*open_), everywhere
    assert told


def test_a_variation_is_the_expansion_of_its_own_seed_in_all_parts(tipo):
    prompt = "1girl, lake BREAK mountain, tree"
    many = run(prompt, tipo, 3, seed=40, **TAGS_ALONE)
    assert run(prompt, tipo, seed=42, **TAGS_ALONE).prompt == many[2].prompt


def test_parts_agree_where_variations_grow_as_a_tree(tipo):
    for parts in tags_of_parts(tipo, "1girl, night BREAK lake, mountain", 4, variety="tree"):
        assert not parts[1] & {"no humans", "day", "sunny", "blue sky"}


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("lake", [0]),
        ("lake BREAK night AND forest :0.5", [0, 1, 2]),
        ("lake AND night :-1", [0]),
        ("lake :-0.5 AND night BREAK forest AND tree : -1", [1, 2]),
        ("lake AND night BREAK forest :-1.5 AND tree", [0, 3]),
    ],
)
def test_a_prompt_that_and_takes_away_is_no_part_of_the_picture(prompt, parts):
    assert of_one_picture(read(prompt)) == parts


def test_what_and_takes_away_forbids_nothing_in_the_rest(tipo):
    found = tags_of_parts(tipo, "1girl, lake AND night :-1")
    assert any(first & {"day", "blue sky"} for first, _ in found)


def test_what_and_takes_away_stays_as_it_was_typed(tipo):
    typed = "castle, winter AND night, (stars:1.2) :-1"
    found = run(typed, tipo, **TAGS_ALONE)
    assert found.prompt.endswith(" AND night, (stars:1.2) :-1")
    assert len(found.prompt) > len(typed)
    with pytest.raises(ValueError, match="weight above 0"):
        run("lake :-1 AND night :-1", tipo)


def test_brackets_of_negative_weight_are_not_told_to_the_model(tipo):
    (found,) = read("a castle, (night, (rain:1.2):-1.0), (winter:0.5), ((stars:-0.5))").regions
    assert found.tags == ("a castle", "winter")
    made = run("a castle, (night:-1.0)", tipo, **TAGS_ALONE)
    assert made.prompt.startswith("a castle, (night:-1.0), ")
