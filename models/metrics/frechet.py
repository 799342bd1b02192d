"""The Fréchet distance between two sets of features, each taken for a normal distribution.

Convention: features are (n, d), one row for each picture; sums are in float64, covariances divide by n - 1.
Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", equation 6.

n pictures  d features
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Mean (d,) and covariance (d, d) of features, in float64."""

    mean: Tensor
    covariance: Tensor


def moments(features: Tensor) -> Moments:
    """Returns the moments of features (n, d).

    Raises:
        ValueError: there are fewer than two rows, or numbers that are not finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"features must be (n, d) with n of at least 2, got {tuple(features.shape)}")
    if not features.isfinite().all():
        raise ValueError("features must be finite numbers: look for broken pictures")
    x = features.double()
    return Moments(x.mean(0), torch.cov(x.T).reshape(x.shape[1], x.shape[1]))


def frechet_distance(a: Tensor | Moments, b: Tensor | Moments) -> float:
    """Returns |m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½), of features (n, d) or of their moments.

    Raises:
        ValueError: the features have not the same width, or as `moments` says.
    """
    a, b = (each if isinstance(each, Moments) else moments(each) for each in (a, b))
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"both must have equally many features, got {len(a.mean)} and {len(b.mean)}")
    root = _root(a.covariance)
    # The eigenvalues of C_a C_b are those of this symmetric matrix, which is sound where the product is not.
    product = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp_min(0).sqrt().sum()
    traces = a.covariance.trace() + b.covariance.trace()
    return max(0.0, float((a.mean - b.mean).square().sum() + traces - 2 * product))


def _root(matrix: Tensor) -> Tensor:
    """The symmetric square root of a covariance."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
