"""Captions."""

import re

import pytest
import torch

from presample.models.prompt.sentences import split_sentences
from presample.models.tinyworld import words
from presample.models.tinyworld.scene import sample_many, world
from presample.models.tinyworld.text import article, long_caption, short_caption


@pytest.fixture(scope="module")
def told():
    generator = torch.Generator().manual_seed(5)
    scenes = sample_many(generator, 500)
    return [(s, short_caption(s, generator), long_caption(s, generator)) for s in scenes]


def test_the_same_generator_tells_the_same_story(told):
    scene = told[0][0]
    for tell in (short_caption, long_caption):
        assert tell(scene, torch.Generator().manual_seed(1)) == tell(scene, torch.Generator().manual_seed(1))
    assert len({long_caption(scene, torch.Generator().manual_seed(i)) for i in range(8)}) > 4


def test_short_captions_have_one_to_four_sentences_in_one_line(told):
    counts = {len(split_sentences(short)) for _, short, _ in told}
    assert counts == {1, 2, 3, 4}
    assert not [short for _, short, _ in told if "\n" in short]


def test_long_captions_have_three_paragraphs_of_one_to_six_sentences(told):
    for _, _, long in told:
        paragraphs = long.split("\n")
        assert len(paragraphs) == 3
        assert all(1 <= len(split_sentences(p)) <= 6 for p in paragraphs)


def test_sentences_are_clean(told):
    for _, short, long in told:
        for sentence in split_sentences(short) + [s for p in long.split("\n") for s in split_sentences(p)]:
            assert re.fullmatch(r"[A-Z][a-z, ]*[a-z]\.", sentence), sentence
            assert "  " not in sentence
            assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]|\bnone\b|(\b\w+\b) \1\b", sentence), (
                sentence
            )


def test_captions_name_what_is_there_and_not_what_is_not(told):
    for scene, short, long in told:
        text = f"{short} {long}"
        assert ("girl" in text) == (scene.figure == "girl")
        assert ("boy" in text) == (scene.figure == "boy")
        assert not (scene.structure != "castle" and "castle" in text)
        assert not (scene.event != "rainbow" and "rainbow" in text)
        assert not (scene.birds == "none" and "bird" in text)
        assert not ("full moon" in text and scene.disc != "full moon")
        others = {"spring", "summer", "autumn", "winter"} - {scene.season}
        assert not [o for o in others if o in text.lower()]


@pytest.mark.parametrize(
    ("table", "attribute"),
    [
        (words.AIR, "weather"), (words.HOUR, "time"), (words.WHEN, "time"), (words.AT, "place"),
        (words.VIEW, "place"), (words.NAME, "place"), (words.NIGHT, "sky"), (words.POSE, "pose"),
        (words.FACING, "facing"),
        (words.WINDOWS, "windows"), (words.RELIEF, "relief"), (words.LEAF, "season"), (words.TREE, "trees"),
        (words.STAND, "stand"), (words.CLOUDS, "clouds"), (words.GROUND, "ground"), (words.SHOT, "shot"),
        (words.LAYOUT, "layout"), (words.PALETTE, "palette"), (words.LIGHT, "time"),
    ],
)  # fmt: skip
def test_tables_of_words_cover_their_attribute(table, attribute):
    assert set(table) == set(world().nodes[attribute].values)


@pytest.mark.parametrize(
    ("table", "attribute"),
    [
        (words.CARRIES, "carries"), (words.WORK, "structure"), (words.BOAT, "boat"), (words.SHORE, "shore"),
        (words.BLOOM, "bloom"), (words.STARS, "stars"), (words.EVENT, "event"), (words.BIRDS, "birds"),
        (words.PATH, "path"), (words.FIXTURE, "fixture"), (words.UNDERGROWTH, "undergrowth"),
        (words.ROCKS, "rocks"), (words.FINISH, "finish"), (words.EFFECT, "effect"),
    ],
)  # fmt: skip
def test_tables_of_words_for_things_cover_all_but_their_absence(table, attribute):
    absent = {"none", "bare", "plain"}
    assert set(table) == set(world().nodes[attribute].values) - absent


def test_articles():
    assert [article(w) for w in ("lake", "orange sky")] == ["a lake", "an orange sky"]
