"""Which noise goes with which data of a minibatch: drawn apart, or paired so that paths are short.

Dimension key: b batch  ... any shape of a sample  e size of a condition's embedding.

Convention: `pair` returns an order of the noise: x_0[order] goes with x_1; noise i was drawn beside data i
and stands for its condition. Plain OT ignores conditions, so that noise tells of the caption in training and
not later; the other two repair that.
Sources: Tong et al. 2023 (arXiv 2302.00482); Cheng & Schwing 2025 (arXiv 2503.10636); spec 2.6.
"""

import torch
from torch import Tensor

COUPLINGS = ("independent", "ot", "ot_within", "c2ot")
C2OT_WEIGHT = 1e4
"""What a different condition costs, in units of the mean squared distance."""


def pair(
    x_0: Tensor, x_1: Tensor, *, kind: str, cond: Tensor | None = None, weight: float = C2OT_WEIGHT
) -> Tensor:
    """Returns the order (b) in which noise x_0 (b, ...) goes with data x_1 (b, ...).

    `cond` says what belongs together: labels (b), or embeddings (b, e), compared by cosine in c2ot.
    ot is the exact optimum for squared distances, ot_within that among equal conditions, c2ot adds `weight`
    times the mean distance where conditions differ. Raises ValueError for another kind or no condition.
    """
    if kind not in COUPLINGS:
        raise ValueError(f"coupling must be one of {', '.join(COUPLINGS)}; got {kind!r}")
    if kind == "independent":
        return torch.arange(len(x_1), device=x_1.device)
    if kind != "ot" and (cond is None or len(cond) != len(x_1)):
        found = "none" if cond is None else len(cond)
        raise ValueError(f"coupling {kind} needs one condition for each of {len(x_1)} samples, got {found}")
    cost = distances(x_0, x_1)
    if kind == "c2ot":
        cost = cost + weight * cost.mean() * differences(cond)
    if kind == "ot_within":
        return _within(cost, cond).to(x_1.device)
    return _assign(cost).to(x_1.device)


def distances(x_0: Tensor, x_1: Tensor) -> Tensor:
    """Returns the squared distances (b, b) of every noise to every data."""
    a, b = (x.detach().flatten(1).double().cpu() for x in (x_0, x_1))
    return torch.cdist(a, b).square()


def differences(cond: Tensor) -> Tensor:
    """Returns (b, b), 0 where conditions agree: 1 for another label, 1 - cosine for embeddings."""
    cond = cond.detach().cpu()
    if cond.ndim == 1:
        return (cond[:, None] != cond).double()
    flat = cond.flatten(1).double()
    nothing = (flat == 0).all(1, keepdim=True)  # texts of no tokens have no angle, and yet are alike
    unit = torch.nn.functional.normalize(torch.cat((flat, nothing), 1), dim=1)
    return (1 - unit @ unit.T).clamp_min(0)


def _assign(cost: Tensor) -> Tensor:
    """Returns for each column the row that the cheapest one-to-one assignment gives it."""
    from scipy.optimize import linear_sum_assignment

    columns, rows = linear_sum_assignment(cost.T.numpy())
    return torch.from_numpy(rows)[torch.from_numpy(columns).argsort()]


def _within(cost: Tensor, cond: Tensor) -> Tensor:
    cond = cond.detach().cpu()
    labels = torch.unique(cond, dim=0, return_inverse=True)[1]
    order = torch.empty(len(labels), dtype=torch.long)
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero()[:, 0]
        order[members] = members[_assign(cost[members][:, members])]
    return order
