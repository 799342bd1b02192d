"""The variety "tree" with the bundled model: variations that share beginnings, and keep every promise."""

import random
from dataclasses import replace

import pytest
import torch

from presample.models.interrupt import Interrupted
from presample.models.prompt.document import canonical
from presample.models.tipo.branches import GROUP, GroupGuide
from presample.models.tipo.expand import expand_many, load_tipo
from presample.models.tipo.expansion import Request
from presample.models.tipo.lengths import LIMITS
from presample.models.tipo.options import ExpandOptions

LIVELY = ExpandOptions(
    variety="tree",
    tag_length="very_short",
    prose_length="none",
    temperature=1.0,
    top_k=0,
    top_p=1.0,
    min_p=0.1,
)


@pytest.fixture(scope="module")
def tipo():
    return load_tipo()


def variations(tipo, count, prompt="scenery, wide shot", hooks=None, **options):
    return expand_many(Request(prompt, options=replace(LIVELY, **options)), count, tipo, **(hooks or {}))


def added(expansion) -> list[str]:
    return [canonical(tag) for tags in expansion.regions[0].added_tags.values() for tag in tags]


def test_no_two_variations_have_the_same_tags(tipo):
    found = variations(tipo, 40)
    assert len({frozenset(added(each)) for each in found}) == 40
    assert not any(each.notes for each in found)


def test_beginnings_are_shared_so_fewer_tokens_are_drawn(tipo):
    tree, apart = (variations(tipo, 32, variety=variety) for variety in ("tree", "independent"))
    drawn, separate = (sum(each.tokens for each in found[0].passes) for found in (tree, apart))
    assert drawn < 0.75 * separate
    assert len({tuple(added(each)[:GROUP]) for each in tree}) < 16


def test_every_variation_keeps_to_length_bans_and_what_the_user_said(tipo):
    found = variations(tipo, 24, prompt="scenery, night, (lake:1.2)", ban="tree, *cloud*, water")
    limits = LIMITS["very_short"]
    for each in found:
        tags = added(each)
        assert limits.min_tags <= len(tags) + 3 <= limits.max_tags
        assert len(set(tags)) == len(tags)
        assert not {"tree", "water", "day", "lake"} & set(tags)
        assert not any("cloud" in tag for tag in tags)
        assert each.prompt.startswith("scenery, night, (lake:1.2), ")


def test_a_request_gives_the_same_again_and_another_seed_or_count_other_texts(tipo):
    def prompts(count, seed=3):
        return [each.prompt for each in variations(tipo, count, seed=seed)]

    first = prompts(6)
    assert first == prompts(6)
    assert first != prompts(6, seed=4)
    assert first != prompts(7)[:6]
    assert {each.seed for each in variations(tipo, 6, seed=3)} == {3}


def test_one_variation_is_the_one_that_is_drawn_by_itself(tipo):
    (tree,), (apart,) = (variations(tipo, 1, variety=v) for v in ("tree", "independent"))
    assert tree.prompt == apart.prompt


def test_prose_follows_the_tags_of_each_variation(tipo):
    found = variations(tipo, 5, prose_length="very_short")
    assert all(each.prose for each in found)
    assert len({each.prose for each in found}) > 1
    assert [report.writes for report in found[0].passes] == ["tags", "prose"]


def test_each_region_has_a_tree_of_its_own(tipo):
    found = variations(tipo, 5, prompt="scenery, lake BREAK scenery, forest")
    for place in range(2):
        lists = [
            frozenset(tag for tags in each.regions[place].added_tags.values() for tag in tags)
            for each in found
        ]
        assert len(set(lists)) == 5


def test_without_variety_in_the_model_texts_are_used_again_and_it_says_so(tipo):
    found = variations(tipo, 12, temperature=0.0)
    assert len(found) == 12
    different = len({each.prompt for each in found})
    assert different < 12
    assert all(
        f"only {different} different lists of tags were found for 12" in each.notes[0] for each in found
    )


def test_tags_after_prose_of_their_own_share_nothing_and_it_says_so(tipo):
    found = variations(
        tipo, 3, prompt="A lake lies under the moon.", prose_length="short", form="prose", seed=1
    )
    assert all(any("no tree to share" in note for note in each.notes) for each in found)
    assert all(added(each) for each in found)


def test_progress_only_grows_and_ends_with_every_variation_settled(tipo):
    told = []
    found = variations(tipo, 6, prose_length="very_short", hooks={"on_progress": told.append})
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    last = {p.variation: p.settled for p in told if p.writes == "tags"}
    assert {k: set(text.split(", ")) for k, text in last.items()} == {
        k: {tag for tags in each.regions[0].added_tags.values() for tag in tags}
        for k, each in enumerate(found)
    }


def test_a_tree_stops_when_the_caller_says_so(tipo):
    steps = iter(range(100))
    with pytest.raises(Interrupted):
        variations(tipo, 8, hooks={"should_stop": lambda: next(steps) == 20})


def test_global_generators_are_left_alone(tipo):
    before = random.getstate(), torch.get_rng_state()
    variations(tipo, 4)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


class EachOnce:
    """Rules for tags: any, but none twice."""

    def __init__(self):
        self.added = []

    def judge_tag(self, tag):
        return "again" if tag in self.added else None

    def counts_tag(self, tag):
        return True

    def accept_tag(self, tag):
        self.added.append(tag)


def test_a_group_ends_after_four_tags_and_its_chances_leave_separators_out(tipo):
    guide = GroupGuide(tipo.language, EachOnce(), have=0, least=0, most=9)
    comma = tipo.language.pieces.index(b",")
    for tag in ("tree", "lake", "tree", "sky", "moon"):
        assert not guide.done
        for token in tipo.language.tokenizer.encode(tag, bos=False):
            guide.take(token, 0.25)
        back = guide.take(comma, 0.99)
        assert bool(back) == (guide.found[-1] != tag)  # the second tree is taken back
    assert guide.done
    assert not guide.finished
    assert len(guide.found) == GROUP
    assert guide.chances == [0.25] * (len(guide.kept) - GROUP)


def test_a_group_that_an_end_closes_is_the_last(tipo):
    guide = GroupGuide(tipo.language, EachOnce(), have=0, least=0, most=9)
    for token in tipo.language.tokenizer.encode("tree", bos=False):
        guide.take(token, 0.25)
    guide.take(tipo.language.tokenizer.eos, 0.5)
    assert guide.done
    assert guide.finished
