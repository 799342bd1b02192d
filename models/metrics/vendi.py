"""The Vendi score: how many different things a set holds in effect, from how alike its members are.

Convention: a kernel is (n, n), symmetric, with ones on its diagonal; a bag counts the parts of a text.
Source: Friedman and Dieng 2023, "The Vendi Score: A Diversity Evaluation Metric for Machine Learning"
(arXiv 2210.02410), equation 2.
"""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor

TOLERANCE = 1e-6  # by which a kernel may miss its symmetry and its diagonal
NOTHING = 1e-12  # smaller eigenvalues of kernel / n are rounding


def vendi_score(kernel: Tensor) -> float:
    """Returns exp of the entropy of the eigenvalues of kernel / n: 1 (all alike) to n (nothing shared).

    `kernel` (n, n) is positive semi-definite. Raises ValueError where it cannot be a kernel.
    """
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or not len(kernel):
        raise ValueError(f"a kernel must have the shape (n, n) with n > 0, got {tuple(kernel.shape)}")
    kernel = kernel.double()
    if not torch.allclose(kernel, kernel.T, rtol=0, atol=TOLERANCE):
        raise ValueError("a kernel must be symmetric; got one that is not")
    if not torch.allclose(kernel.diagonal(), torch.ones(len(kernel)).double(), rtol=0, atol=TOLERANCE):
        raise ValueError("a kernel must have ones on its diagonal; divide by the roots of the diagonal")
    shares = torch.linalg.eigvalsh(kernel / len(kernel))
    if shares[0] < -TOLERANCE:
        raise ValueError(f"a kernel must be positive semi-definite, got the eigenvalue {shares[0]:.3g} · n")
    shares = shares[shares > NOTHING]
    return math.exp(-(shares * shares.log()).sum())


def cosine_kernel(bags: Sequence[Mapping[Hashable, float]]) -> Tensor:
    """Returns the cosines (n, n) between bags of counted parts, such as `Counter(tags)` or `ngrams(text)`.

    Empty bags are like each other and unlike everything else.
    """
    parts = {part: place for place, part in enumerate(dict.fromkeys(part for bag in bags for part in bag))}
    counts = torch.zeros(len(bags), len(parts) + 1, dtype=torch.float64)  # the last column: nothing at all
    for row, bag in zip(counts, bags, strict=True):
        for part, count in bag.items():
            row[parts[part]] = count
        row[-1] = not row.any()
    counts /= counts.norm(dim=1, keepdim=True)
    return counts @ counts.T


def ngrams(text: str, *, longest: int = 2) -> Counter[tuple[str, ...]]:
    """Returns the bag of all runs of 1 to `longest` words of a text, in lower case, commas aside."""
    words = text.replace(",", " ").lower().split()
    return Counter(tuple(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1))
