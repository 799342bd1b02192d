"""The Fréchet distance against closed forms and against its other formula."""

import pytest
import torch

from presample.models.metrics.frechet import Moments, frechet_distance, moments


def drawn(seed, n=400, d=6):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mix + seed


def test_it_is_that_of_the_eigenvalues_of_the_plain_product():
    """tr (C_a C_b)^½ is the sum of the roots of the eigenvalues of the product."""
    a, b = moments(drawn(1)), moments(drawn(2))
    roots = torch.linalg.eigvals(a.covariance @ b.covariance).real.clamp_min(0).sqrt().sum()
    traces = a.covariance.trace() + b.covariance.trace()
    wanted = (a.mean - b.mean).square().sum() + traces - 2 * roots
    assert frechet_distance(a, b) == pytest.approx(float(wanted), rel=1e-9)


def test_independent_features_add_up():
    """For diagonal covariances it is the sum of (m_a - m_b)² + (s_a - s_b)²."""
    a = Moments(torch.tensor([0.0, 1.0]).double(), torch.diag(torch.tensor([4.0, 9.0]).double()))
    b = Moments(torch.tensor([3.0, 1.0]).double(), torch.diag(torch.tensor([1.0, 25.0]).double()))
    assert frechet_distance(a, b) == pytest.approx(9 + 1 + 4)


def test_it_is_symmetric_and_nought_for_the_same_set():
    a, b = drawn(1), drawn(2)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert frechet_distance(a, b) > 1


def test_fewer_pictures_than_features_are_allowed():
    assert frechet_distance(drawn(1, n=3), drawn(2, n=4)) > 0


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (torch.zeros(1, 3), "n of at least 2"),
        (torch.zeros(3), "n of at least 2"),
        (torch.full((3, 2), torch.nan), "finite"),
    ],
)
def test_what_is_no_set_of_features_is_refused(features, said):
    with pytest.raises(ValueError, match=said):
        moments(features)


def test_other_features_are_refused():
    with pytest.raises(ValueError, match="equally many features, got 6 and 2"):
        frechet_distance(drawn(1), torch.zeros(5, 2))
