"""KohakUwU, the sparse decoder of TIPO v2 and v2.1: LLaMA with QK-norm and a routed MLP.

The router is a sigmoid in float32; a learned bias takes part in the choice of experts, not in their weights
(DeepSeek-V3, arXiv 2412.19437, eq. 12-16). One shared expert sees every token.
Dimension key as in `llama`, and: r tokens (b·n)  x experts  i inner width of an expert.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .llama import MLP, Config, Decoder


class Stack(nn.Module):
    """Bias-free matrices of the same shape, (x, out, in)."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, index: int, rows: Tensor) -> Tensor:
        return F.linear(rows, self.weight[index])


class SparseMLP(nn.Module):
    """`top_k` of `count` routed experts for each token, plus the shared expert."""

    GATHER_ROWS = 4  # tokens whose experts' matrices are gathered at once

    def __init__(self, config: Config):
        super().__init__()
        self.experts = config.experts
        self.router = nn.Linear(config.dim, self.experts.count, bias=False)
        self.register_buffer("bias", torch.zeros(self.experts.count))
        self.gate_up = Stack(torch.empty(self.experts.count, 2 * self.experts.dim, config.dim))
        self.down = Stack(torch.empty(self.experts.count, config.dim, self.experts.dim))
        self.shared = MLP(config.dim, self.experts.shared_dim)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)  # (r, d)
        chosen, weight = self.route(rows)
        # A GPU must not wait for the host to learn which experts were chosen, and a CUDA graph cannot.
        few = len(rows) <= self.GATHER_ROWS
        gather = rows.is_cuda and (few or torch.cuda.is_current_stream_capturing())
        routed = self.gathered(rows, chosen, weight) if gather else self.by_expert(rows, chosen, weight)
        return (routed + self.shared(rows)).view_as(x)

    def route(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the chosen experts (r, top_k) and their weights."""
        scores = F.linear(rows.float(), self.router.weight).sigmoid()
        chosen = (scores + self.bias).topk(self.experts.top_k, dim=-1).indices
        weight = scores.gather(1, chosen)
        if self.experts.normalize and self.experts.top_k > 1:
            weight = weight / weight.sum(-1, keepdim=True).clamp_min(1e-9)
        return chosen, (weight * self.experts.scale).to(rows.dtype)

    def expert(self, index: int, rows: Tensor) -> Tensor:
        gate, up = self.gate_up(index, rows).chunk(2, dim=-1)
        return self.down(index, F.silu(gate) * up)

    def by_expert(self, rows: Tensor, chosen: Tensor, weight: Tensor) -> Tensor:
        """Each chosen expert runs once over its tokens, in the order of the experts' numbers."""
        out = torch.zeros_like(rows)
        for index in chosen.unique().tolist():
            row, place = (chosen == index).nonzero(as_tuple=True)
            out.index_add_(0, row, self.expert(index, rows[row]) * weight[row, place, None])
        return out

    def gathered(self, rows: Tensor, chosen: Tensor, weight: Tensor) -> Tensor:
        """The same sum with shapes that do not depend on the choice, a few tokens at a time."""
        parts = zip(*(tensor.split(self.GATHER_ROWS) for tensor in (rows, chosen, weight)), strict=True)
        return torch.cat([self._gathered(*part) for part in parts])

    def _gathered(self, rows: Tensor, chosen: Tensor, weight: Tensor) -> Tensor:
        gate, up = torch.einsum("rxid,rd->rxi", self.gate_up.weight[chosen], rows).chunk(2, dim=-1)
        each = torch.einsum("rxdi,rxi->rxd", self.down.weight[chosen], F.silu(gate) * up)
        return (each * weight[..., None]).sum(1)


class KohakuDecoder(Decoder):
    """A `Decoder` whose layers after the first `dense_layers` are sparse."""

    def make_mlp(self, layer: int) -> nn.Module:
        dense = layer < self.config.experts.dense_layers
        return MLP(self.config.dim, self.config.mlp_dim) if dense else SparseMLP(self.config)
