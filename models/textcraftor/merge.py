"""Merging text encoders in the space of their weights: one encoder comes out, which is not TextCraftor's mix.

phi = sum_i w_i phi_i over the weights; of two, phi_0 + w (phi_1 - phi_0). Integers, `position_ids` and
`logit_scale` are no weights and stay the base's: as floats they would shift every token. Source: spec 3.6.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .mix import mix

LEFT_ALONE = ("position_ids", "logit_scale")


def merges(name: str, dtype: torch.dtype) -> bool:
    """Returns whether a tensor of that name and type is a weight that is merged."""
    return dtype.is_floating_point and not name.endswith(LEFT_ALONE)


def merge(encoders: Sequence[Mapping[str, Tensor]], weights: Sequence[float]) -> dict[str, Tensor]:
    """Returns the tensors of the first encoder with its weights merged with those of the others.

    Types are those of the first; what has weight 0 takes no part, and one alone with weight 1 is bit for bit
    itself. A weight that another encoder lacks is that of the first.

    Raises:
        ValueError: shapes differ, or there is not a weight for each encoder.
    """
    base = encoders[0]
    merged = {}
    for name, tensor in base.items():
        found = [encoder.get(name, tensor) for encoder in encoders]
        merged[name] = _one(name, found, weights) if merges(name, tensor.dtype) else tensor
    return merged


def _one(name: str, tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"encoders that are merged must be of one kind, but {name} is {' and '.join(map(str, shapes))}; "
            "merge encoders that were tuned from the same one"
        )
    kind = torch.promote_types(tensors[0].dtype, torch.float32)
    return mix([tensor.to(kind) for tensor in tensors], weights).to(tensors[0].dtype)
