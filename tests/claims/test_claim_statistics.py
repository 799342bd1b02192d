"""The statistics of the experiments, against numpy, scipy and what can be worked out by hand."""

import math

import numpy as np
import pytest
import torch

from presample.models.claims.statistics import (
    area,
    counts,
    coverage,
    interval,
    paired,
    slope,
    steps_to,
    total_variation,
)


def test_an_interval_is_scipys_percentile_bootstrap():
    stats = pytest.importorskip("scipy.stats")
    values = [0.3, 0.9, 0.1, 0.55, 0.7]
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    ours = interval(values, draws=20_000)
    assert ours.mean == pytest.approx(np.mean(values))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.012)
    assert 0.05 < ours.low < 0.5 < ours.high


def test_an_interval_is_the_same_every_time_and_covers_what_it_should():
    assert interval([1.0, 2.0, 4.0]) == interval([1.0, 2.0, 4.0])
    generator = np.random.default_rng(0)
    found = [interval(generator.normal(size=30), draws=300) for _ in range(300)]
    assert 0.88 < np.mean([each.low <= 0 <= each.high for each in found]) < 0.99
    with pytest.raises(ValueError, match="finite values"):
        interval([])


def test_pairs_take_away_what_both_have_in_common():
    shared = [0.0, 10.0, -7.0, 3.0, 100.0]
    a, b = [x + 0.5 for x in shared], shared
    assert (paired(a, b).low, paired(a, b).high) == pytest.approx((0.5, 0.5))
    assert paired(b, a).high < 0
    with pytest.raises(ValueError, match="equally many"):
        paired([1.0], [1.0, 2.0])


def test_area_and_steps_of_an_exponential_curve_are_known():
    steps = [0.0, 10.0, 20.0, 40.0]
    losses = [math.exp(-step / 10) for step in steps]
    assert area(steps, losses) == pytest.approx(-2)
    assert steps_to(steps, losses, math.exp(-1.5)) == pytest.approx(15)
    assert steps_to(steps, losses, math.exp(-2)) == pytest.approx(20)
    assert steps_to(steps, losses, math.exp(-5)) is None
    assert slope([0.0, 1.0, 3.0], [2.0, 5.0, 11.0]) == pytest.approx(3)


def test_tables_are_compared_by_variation_and_coverage():
    true = torch.tensor([[0.5, 0.25], [0.25, 0.0]])
    assert total_variation(true, true * 8) == pytest.approx(0)
    assert total_variation(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0])) == 1
    assert coverage(torch.tensor([[99, 1], [0, 5]]), true) == pytest.approx(1 / 3)
    found = counts(torch.tensor([0, 1, 1, 1]), torch.tensor([2, 0, 0, 1]), sizes=(2, 3))
    assert found.tolist() == [[0, 0, 1], [2, 1, 0]]
