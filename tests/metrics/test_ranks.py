"""Rank correlation, against scipy and by hand."""

import pytest

from presample.models.metrics.ranks import spearman


def test_rank_correlation_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    x, y = [1.0, 2.0, 2.0, 5.0, 3.0], [2.0, 1.0, 4.0, 4.0, 4.0]
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_lists_that_grow_together_correlate_and_one_that_does_not_change_has_no_order():
    assert spearman([1.0, 2.0, 3.0], [1.0, 10.0, 11.0]) == pytest.approx(1)
    assert spearman(range(4), [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman(range(4), [1, 1, 2, 2]) == pytest.approx(2 / 5**0.5)
    assert spearman([1.0, 2.0], [3.0, 3.0]) == 0
