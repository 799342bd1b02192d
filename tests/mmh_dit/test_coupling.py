"""Which noise goes with which data."""

from itertools import permutations

import pytest
import torch

from presample.models.mmh_dit.coupling import COUPLINGS, differences, pair


def cost(x_0, x_1, order):
    return (x_0[order] - x_1).square().sum().item()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 2, 3, generator=generator), torch.randn(6, 2, 3, generator=generator)


def test_ot_is_the_cheapest_of_all_orders(batch):
    x_0, x_1 = batch
    best = min(cost(x_0, x_1, list(order)) for order in permutations(range(6)))
    assert cost(x_0, x_1, pair(x_0, x_1, kind="ot")) == pytest.approx(best)
    assert pair(x_0, x_1, kind="independent").tolist() == list(range(6))


def test_ot_within_a_condition_is_the_cheapest_order_that_keeps_conditions(batch):
    x_0, x_1 = batch
    cond = torch.tensor([2, 0, 2, 0, 0, 7])
    keeping = [o for o in permutations(range(6)) if torch.equal(cond[list(o)], cond)]
    best = min(cost(x_0, x_1, list(order)) for order in keeping)
    for kind in ("ot_within", "c2ot"):
        order = pair(x_0, x_1, kind=kind, cond=cond)
        assert torch.equal(cond[order], cond)
        assert cost(x_0, x_1, order) == pytest.approx(best)


def test_embeddings_are_compared_by_their_angle(batch):
    x_0, x_1 = batch
    near = torch.nn.functional.one_hot(torch.tensor([0, 1, 0, 1, 0, 1])).float()
    scaled = near * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])[:, None]
    labels = near.argmax(1)
    assert torch.equal(
        pair(x_0, x_1, kind="c2ot", cond=scaled), pair(x_0, x_1, kind="ot_within", cond=labels)
    )
    assert torch.equal(pair(x_0, x_1, kind="c2ot", cond=scaled, weight=0.0), pair(x_0, x_1, kind="ot"))
    assert torch.equal(
        pair(x_0, x_1, kind="ot_within", cond=near), pair(x_0, x_1, kind="ot_within", cond=labels)
    )


def test_texts_of_nothing_are_alike_and_unlike_all_others():
    cond = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    assert torch.equal(differences(cond), torch.tensor([[0, 1], [1, 0]]).repeat(2, 2).double())


@pytest.mark.parametrize("kind", COUPLINGS)
def test_every_noise_is_used_once(batch, kind):
    order = pair(*batch, kind=kind, cond=torch.tensor([0, 0, 0, 1, 1, 1]))
    assert sorted(order.tolist()) == list(range(6))


def test_what_is_missing_is_named(batch):
    with pytest.raises(ValueError, match="independent, ot"):
        pair(*batch, kind="best")
    for cond in (None, torch.zeros(5)):
        with pytest.raises(ValueError, match="one condition for each of 6"):
            pair(*batch, kind="ot_within", cond=cond)
