"""How often buckets are drawn, and the batches."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presample.models.playground.balance import (
    BalancedBatches,
    BalanceOptions,
    probabilities,
    quotas,
    report,
    table,
)

COUNTS = (800, 50, 50, 60, 40)
MANY = st.lists(st.integers(0, 5000), min_size=1, max_size=12).filter(any)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_buckets_are_drawn_as_the_power_of_their_size(alpha):
    p = probabilities(COUNTS, BalanceOptions(alpha, repeats=1000))
    wanted = [n**alpha for n in COUNTS]
    assert p == pytest.approx([w / sum(wanted) for w in wanted])


@given(MANY, st.floats(0, 1), st.floats(1, 10))
def test_no_picture_is_shown_more_often_than_the_cap(counts, alpha, repeats):
    p = probabilities(counts, BalanceOptions(alpha, repeats))
    assert sum(p) == pytest.approx(1)
    for share, n in zip(p, counts, strict=True):
        assert share <= repeats * n / sum(counts) * (1 + 1e-9)
        assert (share > 0) == (n > 0)


def test_what_a_cap_takes_goes_to_the_others_in_their_proportion():
    p = probabilities((900, 90, 10), BalanceOptions(0.0, repeats=4))
    assert p[2] == pytest.approx(0.04)
    assert p[1] == pytest.approx(0.36)  # capped too, once the first one is
    assert p[0] == pytest.approx(0.60)


@given(MANY, st.floats(0, 1), st.integers(12, 1000))
def test_every_bucket_with_pictures_has_a_batch_in_every_window(counts, alpha, window):
    options = BalanceOptions(alpha, window=window)
    made, p = quotas(counts, options), probabilities(counts, options)
    assert sum(made) == window
    rare = sum(0 < window * share < 1 for share in p)
    for quota, share, n in zip(made, p, counts, strict=True):
        assert (quota > 0) == (n > 0)
        assert abs(quota - window * share) < 2 + rare


def test_more_buckets_than_batches_are_refused():
    with pytest.raises(ValueError, match="at least the 3 buckets, got 2"):
        quotas([1, 1, 1], BalanceOptions(window=2))
    with pytest.raises(ValueError, match="one above 0"):
        probabilities([0, 0], BalanceOptions())
    with pytest.raises(ValueError, match="rank 2 of 2"):
        BalancedBatches(COUNTS, 4, rank=2, count=2)


def chi_squared(found, p, draws):
    return sum((found[i] - draws * share) ** 2 / (draws * share) for i, share in enumerate(p))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_batches_are_of_the_buckets_that_they_should_be_of(alpha):
    options = BalanceOptions(alpha)
    batches, p = BalancedBatches(COUNTS, 2, options, seed=3), probabilities(COUNTS, options)
    found = Counter(batches.locate(number)[0] for number in range(2000))
    assert chi_squared(found, p, 2000) < 9.49  # 95 % of chance's, at 4 degrees of freedom
    some = Counter(batches.locate(number)[0] for number in range(300, 700))
    assert chi_squared(some, p, 400) < 18.5  # 99.9 %
    other = probabilities(COUNTS, BalanceOptions(0.75))
    assert chi_squared(found, other, 2000) > 18.5  # it would tell another alpha


@pytest.mark.parametrize("options", [BalanceOptions(), BalanceOptions(1.0, window=20)])
def test_processes_share_a_batch_of_one_bucket_as_one_process_would_have_it(options):
    whole = BalancedBatches(COUNTS, 6, options, seed=1)
    parts = [BalancedBatches(COUNTS, 2, options, seed=1, rank=rank, count=3) for rank in range(3)]
    for number in (0, 1, 19, 20, 777, 5000):
        picks = [part[number] for part in parts]
        assert {pick.bucket for pick in picks} == {whole[number].bucket}
        assert [row for pick in picks for row in pick.rows] == whole[number].rows
        assert {len(pick.rows) for pick in picks} == {2}


def test_batches_follow_from_seed_and_number_alone():
    first = BalancedBatches(COUNTS, 4, seed=5)
    in_order = [first[number] for number in range(1200)]
    again = BalancedBatches(COUNTS, 4, seed=5)
    assert [again[number] for number in (1100, 3, 999, 1000)] == [in_order[n] for n in (1100, 3, 999, 1000)]
    other = BalancedBatches(COUNTS, 4, seed=6)
    assert [other[number] for number in range(20)] != in_order[:20]


def test_all_pictures_of_a_bucket_are_shown_equally_often():
    batches = BalancedBatches((7, 30), 3, BalanceOptions(0.5, window=10), seed=2)
    shown = [Counter(), Counter()]
    for number in range(400):
        bucket, rows = batches[number]
        shown[bucket].update(rows)
    for counter, n in zip(shown, (7, 30), strict=True):
        assert set(counter) == set(range(n))
        assert max(counter.values()) - min(counter.values()) <= 1


def test_the_report_says_what_a_training_sees():
    lines = report(((832, 1216), (1024, 1024), (1216, 832)), (0, 900, 100), BalanceOptions(0.5))
    assert [line.size for line in lines] == [(1024, 1024), (1216, 832)]
    assert lines[1].share == pytest.approx(0.1)
    assert lines[1].drawn == pytest.approx(0.25)
    assert lines[1].repeats == pytest.approx(2.5)
    text = table(lines)
    assert text.splitlines()[2].split() == ["1216x832", "19:13", "100", "10.0%", "25.0%", "2.50"]
