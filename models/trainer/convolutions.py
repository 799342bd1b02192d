"""Trains the weight of a convolution as the matrix that it is, from a window to a pixel, so Muon can take it.

Convention: between `to_matrices` and `from_matrices` the weight (out, in, rows, columns) of a module is kept
as `parametrizations.weight.original` (out, in * rows * columns); what the module computes is the same.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


def to_matrices(model: nn.Module) -> None:
    """Keeps the weights of all convolutions of the model as matrices."""
    for convolution in _convolutions(model):
        parametrize.register_parametrization(convolution, "weight", _Matrix(convolution.weight.shape))


def from_matrices(model: nn.Module) -> None:
    """Gives convolutions their weights back."""
    for convolution in _convolutions(model):
        parametrize.remove_parametrizations(convolution, "weight")


def _convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [part for part in model.modules() if isinstance(part, nn.Conv2d)]


class _Matrix(nn.Module):
    def __init__(self, shape: torch.Size):
        super().__init__()
        self.shape = shape

    def forward(self, matrix: Tensor) -> Tensor:
        return matrix.view(self.shape).contiguous(memory_format=torch.channels_last)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight.flatten(1).contiguous()
