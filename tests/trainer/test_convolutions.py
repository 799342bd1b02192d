"""Convolutions kept as matrices."""

import torch
from torch import nn

from presample.models.trainer.convolutions import from_matrices, to_matrices
from presample.models.trainer.optimizers import make_optimizers
from presample.models.trainer.options import FitOptions


def make():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1, bias=False))


def test_a_model_computes_the_same_and_gets_its_weights_back():
    model = make()
    x = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(1))
    before, weights = model(x), {name: t.clone() for name, t in model.state_dict().items()}
    to_matrices(model)
    assert all(weight.ndim == 2 for name, weight in model.named_parameters() if "original" in name)
    torch.testing.assert_close(model(x), before)
    from_matrices(model)
    after = model.state_dict()
    assert after.keys() == weights.keys()
    assert all(torch.equal(after[name], weights[name]) for name in weights)


def test_muon_takes_them():
    model = make()
    to_matrices(model)
    muon, adamw = make_optimizers(model, FitOptions(), inner=lambda name: True)
    assert [p.shape for group in muon.param_groups for p in group["params"]] == [(8, 27), (2, 8)]
    model(torch.rand(1, 3, 5, 5)).square().mean().backward()
    before = [p.detach().clone() for p in model.parameters()]
    muon.step()
    adamw.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
