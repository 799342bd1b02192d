"""One decoding step as a CUDA graph: a single launch in place of several hundred, no compiler needed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .llama import Cache, Decoder


class GraphedStep:
    """A step of all rows of a cache, captured the first time it runs and replayed after that."""

    def __init__(self, model: Decoder, cache: Cache):
        self.model, self.cache = model, cache
        device = cache.places.device
        # Tokens and positions travel together: one copy a step.
        self.inputs = torch.zeros(2, cache.batch, 1, dtype=torch.long, device=device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.logits: Tensor | None = None

    def __call__(self, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
        """Returns logits (b, v) for the first b = len(tokens) rows of the cache."""
        count = len(tokens)
        self.inputs[:, :count, 0] = torch.tensor([tokens, positions]).to(self.inputs.device)
        if self.graph is None:
            self._capture()
        self.graph.replay()
        return self.logits[:count].clone()

    def _run(self) -> Tensor:
        tokens, positions = self.inputs
        hidden = self.model(tokens, self.cache, positions, extent=self.cache.length)
        return self.model.head(hidden[:, 0]).float()

    def _capture(self) -> None:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):  # libraries choose their kernels outside the capture
                self._run()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.logits = self._run()
