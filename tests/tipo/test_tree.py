"""Tree sampling: its formulas against tables and tipo-kgen, and the search on a Markov chain of tags."""

import importlib
import math
import random
import statistics
import sys
import types
from collections import Counter

import pytest
import torch

from presample.models.metrics.vendi import cosine_kernel, vendi_score
from presample.models.tipo.tree import Growth, Node, Tree, quota, score, search, upper_bound

GROUP = 4  # tags


class MarkovTags:
    """A language model whose texts are tags parted by commas: what comes next depends on the tag before.

    Tokens 0 to `tags` - 1 are tags, then the comma and the end. A tag does not come twice; after `shortest`
    tags a text may end, after `longest` it does.
    """

    def __init__(self, tags: int = 60, *, shortest: int = 24, longest: int = 40, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        popular = torch.rand(tags, generator=generator).square() + 0.02
        self.after = torch.randn(tags, tags, generator=generator) + popular.log()
        self.comma, self.end = tags, tags + 1
        self.shortest, self.longest = shortest, longest

    def next_logits(self, prefix: tuple[int, ...]) -> torch.Tensor:
        """Returns the logits (v) of the token after `prefix`."""
        logits = torch.full((self.end + 1,), -math.inf)
        if prefix and prefix[-1] != self.comma:
            logits[self.comma] = 0.0
            return logits
        tags = prefix[::2]
        if len(tags) < self.longest:
            logits[: self.comma] = self.after[tags[-1]] if tags else self.after.mean(0)
            logits[list(tags)] = -math.inf
            logits[: self.comma] = logits[: self.comma].log_softmax(0)
        if len(tags) >= self.shortest:
            logits[self.end] = math.log(0.15)
        return logits


class Grower:
    """Draws group after group at temperature 1 and min_p 0.1, and counts the tokens."""

    def __init__(self, model: MarkovTags, seed: int = 0):
        self.model, self.generator = model, torch.Generator().manual_seed(seed)
        self.tokens, self.batches = 0, []

    def __call__(self, texts) -> list[Growth]:
        self.batches.append(len(texts))
        return [self.grow(text) for text in texts]

    def grow(self, prefix: tuple[int, ...]) -> Growth:
        text, chances = prefix, []
        while True:
            share = self.model.next_logits(text).softmax(0)
            share = torch.where(share < 0.1 * share.max(), 0.0, share)
            token = int(torch.multinomial(share, 1, generator=self.generator))
            text, self.tokens = (*text, token), self.tokens + 1
            if token < self.model.comma:
                chances.append(float(share[token] / share.sum()))
            finished = token == self.model.end
            if finished or (token == self.model.comma and len(text) - len(prefix) == 2 * GROUP):
                return Growth(text, chances, frozenset(self.tags(text)), finished)

    def whole(self) -> tuple[int, ...]:
        """Returns one text drawn by itself."""
        growth = self.grow(())
        while not growth.finished:
            growth = self.grow(growth.text)
        return growth.text

    def tags(self, text: tuple[int, ...]) -> list[int]:
        return [token for token in text if token < self.model.comma]

    def diversity(self, texts) -> float:
        return vendi_score(cosine_kernel([Counter(self.tags(text)) for text in texts]))


def test_256_texts_of_a_tree_take_under_70_percent_of_the_tokens_at_95_percent_of_the_diversity():
    """On average over seeds, of which single ones lie at 0.94 to 1.04 of the diversity."""
    tokens, diversity = [], []
    for seed in range(3):
        apart, together = Grower(MarkovTags(), seed), Grower(MarkovTags(), seed)
        separate = [apart.whole() for _ in range(256)]
        shared = search((), together, 256)
        assert len(shared) == 256
        tokens.append(together.tokens / apart.tokens)
        diversity.append(together.diversity(shared) / apart.diversity(separate))
    assert statistics.mean(tokens) <= 0.70
    assert statistics.mean(diversity) >= 0.95


@pytest.mark.parametrize(("count", "width"), [(1, 1), (7, 3), (40, 64), (100, 16)])
def test_texts_are_whole_and_no_two_have_the_same_tags(count, width):
    grower = Grower(MarkovTags(tags=30, shortest=6, longest=9))
    texts = search((), grower, count, width=width)
    assert len({frozenset(grower.tags(text)) for text in texts}) == len(texts) == count
    assert all(text[-1] == grower.model.end for text in texts)
    assert max(grower.batches) <= width


def test_a_seed_gives_the_same_texts_again_and_another_seed_others():
    model = MarkovTags()
    first, again, other = (search((), Grower(model, seed), 30) for seed in (5, 5, 6))
    assert first == again != other


def test_global_generators_are_left_alone():
    before = random.getstate(), torch.get_rng_state()
    search((), Grower(MarkovTags()), 20)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_the_search_ends_when_all_there_is_to_find_is_found():
    """Five tags, all of them in some order: one set of tags, so one text."""
    model = MarkovTags(tags=5, shortest=5, longest=5)
    assert len(search((), Grower(model), 50)) == 1


def test_more_texts_than_quotas_allow_are_found_where_the_model_has_them():
    """Three of 12 tags make 220 texts of one group, all children of the root, whose quota is far below."""
    model = MarkovTags(tags=12, shortest=3, longest=3)
    model.after = torch.zeros(12, 12)
    texts = search((), Grower(model), 60)
    assert len(texts) == 60
    assert quota(0, 60) < 60


def test_nothing_is_grown_that_is_not_needed():
    """Every text that is begun is one of those asked for, unless it repeats another."""
    grower = Grower(MarkovTags())
    made = []
    texts = search((), lambda states: made.extend(grown := grower(states)) or grown, 50)
    finished = {growth.text for growth in made if growth.finished}
    assert finished == set(texts)
    for growth in made:
        assert any(text[: len(growth.text)] == growth.text for text in texts)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 3, "width": 0}])
def test_counts_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1, got 0"):
        search((), Grower(MarkovTags()), **wrong)


# alpha is 1/4 at depth 0, 1/8 at depth 2, 1/32 at depth 4: powers of 16 and 2 have whole roots.
@pytest.mark.parametrize(
    ("depth", "visits", "children"),
    [
        (0, 0, 0),
        (0, 1, 2),
        (0, 4, 2),  # sqrt(2)·sqrt(2)
        (0, 5, 3),
        (0, 16, 3),
        (0, 64, 4),
        (0, 65, 5),
        (0, 2500, 10),
        (0, 2501, 11),
        (1, 1, 2),
        (1, 300, 5),
        (2, 16, 2),
        (2, 17, 3),
        (2, 256, 3),
        (4, 2**16, 2),
        (4, 2**16 + 1, 3),
        (9, 1000, 2),
    ],
)
def test_a_quota_is_the_formula_worked_by_hand(depth, visits, children):
    assert quota(depth, visits) == children


@pytest.mark.parametrize(
    ("chances", "expected"),
    [
        ([], 0.0),
        ([0.5], 0.5),
        ([0.25, 1.0], (0.25 + 1.0 + 0.5) / 3),
        ([0.1, 0.4, 0.2], (0.1 + 0.4 + 0.2) / 3),
        ([0.5, 0.5, 0.5, 0.0625], (0.0625 + 0.5 + 2**-1.75) / 3),
    ],
)
def test_a_score_is_the_mean_of_least_largest_and_geometric_mean(chances, expected):
    assert score(chances) == pytest.approx(expected)


def test_quotas_and_bounds_are_those_of_kgen(monkeypatch):
    pytest.importorskip("kgen", reason="the comparison needs tipo-kgen, which is not installed")
    monkeypatch.setitem(sys.modules, "graphviz", types.SimpleNamespace(Digraph=None))  # it draws trees
    kgen = importlib.import_module("kgen.sampling.cg_mcts")
    for depth in range(8):
        for visits in (1, 2, 3, 7, 10, 50, 300, 1001, 5003):
            theirs, ours = kgen.MCTSNode("", parent=kgen.MCTSNode("")), Node("", Node(""))
            theirs.depth, theirs.visits, theirs.score, theirs.parent.visits = depth, visits, 0.7, 2 * visits
            ours.visits, ours.value, ours.parent.visits = visits, 0.7, 2 * visits
            assert quota(depth, visits) == theirs.num_childs
            assert upper_bound(ours, 1.4) == pytest.approx(theirs.uct1(1.4))


def test_the_way_down_goes_to_the_child_with_the_higher_bound_until_there_is_room():
    tree = Tree("", 2.0)
    top = tree.nodes[0]
    for name, chance in (("likely", 0.9), ("unlikely", 0.2)):
        tree.begin(top)
        tree.take(tree.take(top, Growth(name, [chance], name)), Growth(name * 2, [chance], name * 2, True))
    assert top.visits == 4  # quota 2: the root is full
    assert not top.has_room
    assert tree.select(False).text == "likely"
    tree.begin(tree.select(False))
    assert top.has_room  # what is under way counts as visits
    likely, unlikely = top.children
    assert upper_bound(likely, 2.0) < upper_bound(unlikely, 2.0)
