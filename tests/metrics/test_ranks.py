"""Rank correlation, against scipy and by hand; scores that are no numbers."""

import math

import pytest

from presample.models.metrics.ranks import ascending, mean_known, spearman


def test_rank_correlation_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    x, y = [1.0, 2.0, 2.0, 5.0, 3.0], [2.0, 1.0, 4.0, 4.0, 4.0]
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_lists_that_grow_together_correlate_and_one_that_does_not_change_has_no_order():
    assert spearman([1.0, 2.0, 3.0], [1.0, 10.0, 11.0]) == pytest.approx(1)
    assert spearman(range(4), [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman(range(4), [1, 1, 2, 2]) == pytest.approx(2 / 5**0.5)
    assert spearman([1.0, 2.0], [3.0, 3.0]) == 0


def test_what_is_no_number_comes_first_and_counts_in_no_mean():
    assert ascending([0.5, math.nan, -1.0, math.inf]) == [1, 2, 0, 3]
    assert mean_known([0.5, math.nan, 1.0]) == 0.75
    assert math.isnan(mean_known([math.nan]))
