"""The running average of a model's weights, which makes better pictures than the last weights.

After update n (from 1) the average is d*average + (1-d)*weight with d = min(decay, (1+n)/(10+n)), so that a
short training is not averaged with its beginning. Source: specification 2.2; the start as TensorFlow's
ExponentialMovingAverage has it. Buffers are not averaged.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Average:
    """The average of a model's parameters, in float32 beside each of them (also beside its shard)."""

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.parameters = dict(model.named_parameters())
        self.values = {name: p.detach().float().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        weights = [p.float() for p in self.parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside of this context, and afterwards its own again."""
        own = {name: p.detach().clone() for name, p in self.parameters.items()}
        self._copy(self.values)
        try:
            yield
        finally:
            self._copy(own)

    @torch.no_grad()
    def _copy(self, values: dict[str, torch.Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(values[name])
