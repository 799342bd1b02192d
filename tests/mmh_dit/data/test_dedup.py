"""Iterative DBSCAN: of near duplicates one stays, nothing else goes, in few rounds, the same every time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from presample.models.mmh_dit.data import dedup
from presample.models.mmh_dit.data.dedup import (
    Deduplicated,
    DedupOptions,
    Round,
    clusters,
    deduplicate,
    divide,
    met,
)

pytest.importorskip("sklearn", reason="near duplicates need presample[data]")


def unit(x):
    return torch.nn.functional.normalize(x, dim=-1)


def planted(distinct=600, copies=200, *, width=64, least=0.92, seed=0):
    """Distinct pictures, none nearer to another than 0.85, and near copies of the first ones."""
    generator = torch.Generator().manual_seed(seed)
    base = unit(torch.randn(distinct, width, generator=generator))
    noise = torch.randn(copies, width, generator=generator)
    noise = unit(noise - (noise * base[:copies]).sum(-1, keepdim=True) * base[:copies])
    cosine = least + (0.999 - least) * torch.rand(copies, 1, generator=generator)
    copied = cosine * base[:copies] + (1 - cosine**2).sqrt() * noise
    likeness = base @ base.T - torch.eye(distinct)
    assert likeness.max() < 0.85
    return torch.cat([base, copied])


def subsets_of(n, count, **how):
    return DedupOptions(subset=-(-n // count), **how)


@pytest.mark.parametrize(
    ("partition", "count", "share"),
    [("nearby", 1, 1.0), ("nearby", 2, 0.99), ("nearby", 8, 0.99), ("random", 2, 0.95)],
)
def test_planted_copies_are_reduced_to_one_and_nothing_distinct_goes(partition, count, share):
    x = planted()
    found = deduplicate(x, subsets_of(len(x), count, partition=partition))
    kept = found.keep
    pairs = kept[:200].int() + kept[600:].int()
    assert (pairs == 1).sum() >= share * 200
    assert (pairs >= 1).all()
    assert kept[200:600].all(), "what is alone stays"
    assert len(found.rounds) <= 10


def test_many_subsets_need_like_pictures_together():
    x = planted(2000, 400)
    nearby = deduplicate(x, subsets_of(len(x), 32))
    shuffled = deduplicate(x, subsets_of(len(x), 32, partition="random"))
    assert (~nearby.keep).sum() >= 0.98 * 400
    assert len(nearby.rounds) <= 10
    assert nearby.keep[400:2000].all()
    assert (~shuffled.keep).sum() < 0.5 * 400, "the published way finds one pair in 32 a round"


def test_the_chance_to_meet_follows_from_subsets_and_rounds():
    assert met([Round(10, 1, 0)]) == 1
    assert met([Round(10, 4, 0), Round(10, 4, 0)]) == pytest.approx(1 - 0.75**2)
    assert met([]) == 0


def test_a_distance_of_nine_tenths_would_collapse_the_set():
    """The negative control: similarity 0.1 is what `eps=0.9` would mean."""
    x = planted(width=16, distinct=40, copies=20)
    assert deduplicate(x, DedupOptions(similarity=0.1)).keep.sum() <= 3
    assert deduplicate(x).keep.sum() == 40


def by_hand(x, similarity):
    """Connected components of the graph of near pairs, by flooding; DBSCAN with min_samples 2 is no more."""
    near = (x.double() @ x.double().T) >= similarity
    names = [-1] * len(x)
    for i in range(len(x)):
        if names[i] < 0 and near[i].sum() > 1:
            todo = [i]
            while todo:
                j = todo.pop()
                if names[j] < 0:
                    names[j] = i
                    todo += near[j].nonzero().flatten().tolist()
    return names


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(2, 6), st.integers(0, 10**6))
def test_clusters_are_the_connected_pictures(n, width, seed):
    x = unit(torch.randn(n, width, generator=torch.Generator().manual_seed(seed)))
    if ((x.double() @ x.double().T - 0.9).abs() < 1e-5).any():
        return  # rounding decides
    labels = clusters(x, 0.9).tolist()
    wanted = by_hand(x, 0.9)
    assert [label < 0 for label in labels] == [name < 0 for name in wanted]
    assert len(set(zip(labels, wanted, strict=True))) == len(set(labels)) == len(set(wanted))


@settings(max_examples=25)
@given(
    st.integers(1, 120),
    st.integers(2, 8),
    st.integers(0, 10**6),
    st.sampled_from(["nearby", "random"]),
    st.integers(4, 200),
)
def test_whatever_goes_has_one_in_its_chain_that_stays(n, width, seed, partition, subset):
    x = unit(torch.randn(n, width, generator=torch.Generator().manual_seed(seed)))
    options = DedupOptions(partition=partition, subset=subset, stop=0.0, seed=seed)
    found = deduplicate(x, options)
    chains = by_hand(x, 0.9 - 1e-6)
    for item, other in enumerate(found.stands_for.tolist()):
        assert found.keep[other]
        assert item == other or chains[item] == chains[other] >= 0
    assert found.keep[torch.tensor([name < 0 for name in chains])].all(), "what is isolated stays"
    assert sum(r.removed for r in found.rounds) == (~found.keep).sum()


def test_what_has_converged_stays_as_it_is():
    x = planted()
    left = x[deduplicate(x, subsets_of(len(x), 1)).keep]
    again = deduplicate(left, subsets_of(len(left), 1))
    assert again.keep.all()


@pytest.mark.parametrize("count", [1, 8])
def test_the_order_of_the_pictures_hardly_matters(count):
    x = planted(1000, 300)
    sizes = []
    for seed in range(4):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        sizes.append(int(deduplicate(x[order], subsets_of(len(x), count)).keep.sum()))
    assert max(sizes) / min(sizes) <= 1.01


def test_the_same_seed_keeps_the_same_pictures_and_another_one_others():
    x = planted()
    first, again, other = (deduplicate(x, DedupOptions(seed=seed)).stands_for for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    before = torch.get_rng_state()
    deduplicate(x)
    assert torch.equal(torch.get_rng_state(), before)


def test_who_is_kept_of_a_large_cluster_does_not_depend_on_threads():
    rows, labels = torch.arange(30_000), torch.arange(30_000) % 50 - 1
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = {
            tuple(dedup._chosen(rows, labels, torch.Generator().manual_seed(1)).tolist()) for _ in range(10)
        }
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 1


def test_an_interrupted_run_goes_on_after_its_last_round_to_the_same_end():
    x, states = planted(), []
    options = subsets_of(len(x), 4)
    whole = deduplicate(x, options, on_round=states.append)
    assert len(states) == len(whole.rounds) > 2
    resumed = deduplicate(x, options, begun=states[1])
    assert torch.equal(resumed.stands_for, whole.stands_for)
    assert resumed.rounds == whole.rounds


@given(st.integers(1, 300), st.integers(2, 50), st.sampled_from(["nearby", "random"]))
@settings(max_examples=30)
def test_subsets_hold_every_row_once_and_are_small_enough(n, subset, partition):
    generator = torch.Generator().manual_seed(n)
    rows = torch.randperm(n * 2, generator=generator)[:n]
    options = DedupOptions(subset=subset, partition=partition)
    parts = divide(torch.randn(n * 2, 4, generator=generator).half(), rows, options, generator=generator)
    assert sorted(torch.cat(parts).tolist()) == sorted(rows.tolist())
    assert all(0 < len(part) <= subset for part in parts)


def test_a_crowd_of_the_same_picture_becomes_one():
    x = unit(torch.ones(3000, 8))
    found = deduplicate(x, DedupOptions(subset=500))
    assert found.keep.sum() == 1
    assert isinstance(found, Deduplicated)
