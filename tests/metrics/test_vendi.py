"""The Vendi score against cases with a closed form, and its laws."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from presample.models.metrics.vendi import cosine_kernel, ngrams, vendi_score

BAGS = st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 5)), min_size=1, max_size=8)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_things_that_share_nothing_count_each(count):
    assert vendi_score(torch.eye(count)) == pytest.approx(count)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_things_that_are_all_alike_count_once(count):
    assert vendi_score(torch.ones(count, count)) == pytest.approx(1)


@pytest.mark.parametrize("likeness", [0.0, 0.3, 0.99])
def test_two_things_have_the_eigenvalues_one_plus_and_minus_their_likeness(likeness):
    shares = [(1 + likeness) / 2, (1 - likeness) / 2]
    expected = math.exp(-sum(share * math.log(share) for share in shares))
    assert vendi_score(torch.tensor([[1, likeness], [likeness, 1]])) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "likeness"), [(5, 0.5), (50, 0.1), (50, 0.9)])
def test_equal_likeness_of_all_pairs_has_a_closed_form(count, likeness):
    """Eigenvalues over n: (1 + (n - 1)s) / n once and (1 - s) / n for the rest."""
    kernel = torch.full((count, count), likeness).fill_diagonal_(1)
    shares = [(1 + (count - 1) * likeness) / count] + [(1 - likeness) / count] * (count - 1)
    expected = math.exp(-sum(share * math.log(share) for share in shares))
    assert vendi_score(kernel) == pytest.approx(expected, rel=1e-5)


def test_groups_of_equal_things_score_the_perplexity_of_their_sizes():
    bags = [{"a": 1}] * 5 + [{"b": 2}] * 3 + [{"c": 1}] * 2
    expected = math.exp(-sum(share * math.log(share) for share in (0.5, 0.3, 0.2)))
    assert vendi_score(cosine_kernel(bags)) == pytest.approx(expected)


@given(BAGS)
def test_a_score_lies_between_one_and_the_number_of_things(bags):
    assert 1 - 1e-6 <= vendi_score(cosine_kernel(bags)) <= len(bags) + 1e-6


@given(BAGS, st.randoms(use_true_random=False))
def test_order_and_repetition_of_the_whole_set_change_nothing(bags, random):
    shuffled = random.sample(bags * 2, 2 * len(bags))
    assert vendi_score(cosine_kernel(shuffled)) == pytest.approx(vendi_score(cosine_kernel(bags)))


def test_a_kernel_holds_the_cosines_of_the_counts():
    kernel = cosine_kernel([{"a": 3, "b": 4}, {"b": 2}, Counter("ccc"), {}])
    wanted = [[1, 0.8, 0, 0], [0.8, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert torch.allclose(kernel, torch.tensor(wanted, dtype=torch.float64))


def test_ngrams_are_all_runs_of_words():
    assert ngrams("A red, red tree") == Counter(
        [("a",), ("red",), ("red",), ("tree",), ("a", "red"), ("red", "red"), ("red", "tree")]
    )
    assert ngrams("one two three", longest=1) == Counter([("one",), ("two",), ("three",)])
    assert ngrams("") == Counter()


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (torch.zeros(0, 0), "n > 0"),
        (torch.ones(2, 3), "shape"),
        (torch.ones(3), "shape"),
        (torch.tensor([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (2 * torch.eye(2), "diagonal"),
        (torch.tensor([[1.0, 2.0], [2.0, 1.0]]), "semi-definite"),
    ],
)
def test_what_is_no_kernel_is_refused(kernel, said):
    with pytest.raises(ValueError, match=said):
        vendi_score(kernel)
