"""The Bayes net against plain enumeration."""

import itertools
import math

import pytest
import torch

from presample.models.tinyworld.net import Net, eliminate, node, weights


@pytest.fixture
def net() -> Net:
    return Net(
        [
            node("season", "summer 2, winter 1"),
            node("snow", "no 3, yes 1", season={"summer": "yes 0", "winter": "yes 9"}),
            node("boots", "no 1, yes 1", snow={"yes": "yes 4"}, season={"winter": "yes 1.5"}),
        ]
    )


def every_assignment(net: Net):
    values = [n.values for n in net.nodes.values()]
    return [dict(zip(net.nodes, row, strict=True)) for row in itertools.product(*values)]


def test_weights_may_have_names_of_several_words():
    assert weights("clear 5, full moon .5") == {"clear": 5.0, "full moon": 0.5}


def test_a_table_is_base_weights_times_the_factors_of_each_parent(net):
    scope, table = net.tables["boots"]
    assert scope == ("snow", "season", "boots")
    assert torch.allclose(table[1, 1], torch.tensor([1.0, 6.0], dtype=torch.float64) / 7)


def test_all_assignments_together_have_probability_one(net):
    total = sum(math.exp(net.log_prob(a)) for a in every_assignment(net))
    assert total == pytest.approx(1, abs=1e-12)
    assert float(net.mass()) == pytest.approx(1, abs=1e-12)


def test_impossible_assignments_have_no_probability(net):
    assert net.log_prob({"season": "summer", "snow": "yes", "boots": "no"}) == -math.inf


def test_the_posterior_is_what_enumeration_says(net):
    given = [a for a in every_assignment(net) if a["boots"] == "yes"]
    total = sum(math.exp(net.log_prob(a)) for a in given)
    winter = sum(math.exp(net.log_prob(a)) for a in given if a["season"] == "winter")
    found = net.posterior("season", net.observe({"boots": "yes"}))
    assert found["winter"] == pytest.approx(winter / total, abs=1e-12)


def test_elimination_keeps_the_axes_asked_for_in_their_order(net):
    kept = eliminate(list(net.tables.values()), ("boots", "season"))
    for i, j in itertools.product(range(2), range(2)):
        wanted = sum(
            math.exp(net.log_prob(a))
            for a in every_assignment(net)
            if net.index("boots", a["boots"]) == i and net.index("season", a["season"]) == j
        )
        assert float(kept[i, j]) == pytest.approx(wanted, abs=1e-12)


def test_a_parent_must_be_listed_before_its_child():
    with pytest.raises(ValueError, match="must come after its parents"):
        Net([node("snow", "no 1, yes 1", season={"winter": "yes 2"})])


def test_a_row_of_zeros_is_refused():
    with pytest.raises(ValueError, match="must leave one value possible"):
        Net([node("a", "x 1"), node("b", "y 1", a={"x": "y 0"})]).tables  # noqa: B018


def test_an_unknown_value_is_named_with_the_choices(net):
    with pytest.raises(ValueError, match="summer, winter"):
        net.observe({"season": "autumn"})
    with pytest.raises(ValueError, match="unknown attribute"):
        net.observe({"colour": "red"})
