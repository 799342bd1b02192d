"""Tags and their rules."""

from dataclasses import asdict

import pytest
import torch

from presample.models.tinyworld import tags
from presample.models.tinyworld.scene import sample_many, world
from presample.models.tinyworld.strangers import stranger_names, stranger_tags
from presample.models.tipo.tag_words import CATEGORIES
from presample.models.tipo.tags import load_tags


@pytest.fixture(scope="module")
def scenes():
    return sample_many(torch.Generator().manual_seed(11), 600)


def test_every_rule_speaks_of_attributes_and_values_that_exist():
    for tag, rules in tags.rules().items():
        for clause in (c for clauses in rules for c in clauses):
            for value in clause.values:
                assert world().index(clause.attribute, value) >= 0, tag


def test_every_tag_can_hold_and_all_but_one_can_fail():
    for tag in tags.rules():
        held = float(world().mass([tags.presence(tag)]))
        assert 1e-4 < held <= 1 + 1e-9, (tag, held)
        assert (held > 1 - 1e-9) == (tag == "outdoors"), tag


def test_the_table_of_a_tag_says_the_same_as_its_rule(scenes):
    for scene in scenes[:60]:
        attributes = asdict(scene)
        for tag in tags.rules():
            scope, table = tags.presence(tag)
            at = tuple(world().index(a, attributes[a]) for a in scope)
            assert bool(table[at]) == tags.holds(tag, attributes), tag


def test_what_contradicts_never_stands_together(scenes):
    pairs = [
        ("day", "night"), ("no humans", "solo"), ("sun", "moon"), ("1girl", "1boy"), ("lake", "ocean"),
        ("bare tree", "autumn leaves"), ("clear sky", "rain"), ("black hair", "blonde hair"),
        ("close-up", "wide shot"),
    ]  # fmt: skip
    for scene in scenes:
        found = {t for words in tags.tags_of(scene).values() for t in words}
        assert not [p for p in pairs if set(p) <= found]


def test_a_tag_implies_its_parent(scenes):
    implied = {
        "full moon": "moon", "crescent moon": "moon", "starry sky": "star (sky)", "pine tree": "tree",
        "white dress": "dress", "straw hat": "hat", "sailboat": "boat", "red flower": "flower",
        "torii": "shrine",
    }  # fmt: skip
    for scene in scenes:
        found = set(tags.tags_of(scene)["general"])
        assert not [t for t, parent in implied.items() if t in found and parent not in found]


def test_scenes_are_rich_enough_for_every_length_and_fit_the_longest(scenes):
    counts = [
        len(tags.mention(s, torch.Generator().manual_seed(i))[1]["general"]) for i, s in enumerate(scenes)
    ]
    shares = [
        sum(low <= n <= high for n in counts) / len(counts)
        for low, high in ((0, 17), (18, 35), (36, 47), (48, 72))
    ]
    assert all(share > 0.1 for share in shares), shares
    assert sum(shares) > 0.99


def test_mentioned_tags_hold_and_fixed_categories_are_complete(scenes):
    generator = torch.Generator().manual_seed(0)
    for scene in scenes[:100]:
        detail, said = tags.mention(scene, generator)
        true = tags.tags_of(scene)
        assert detail in tags.DETAIL
        assert set(said["general"]) <= set(true["general"])
        assert {k: v for k, v in said.items() if k != "general"} == {
            k: v for k, v in true.items() if k != "general"
        }


def test_tags_are_in_tipos_categories_and_the_tag_table_agrees(scenes):
    table = load_tags()
    for scene in scenes[:200]:
        for category, words in tags.tags_of(scene).items():
            assert category in CATEGORIES
            assert {table.lookup(w) for w in words} == {category}, words


def test_unknown_tags_are_named():
    with pytest.raises(ValueError, match="spaceship"):
        tags.mentioned(["lake", "spaceship"])


def test_strangers_are_strangers():
    assert len(stranger_tags()) > 250
    assert not set(stranger_tags()) & set(tags.rules())
    assert len(set(stranger_names())) == len(stranger_names())
