"""What a denoiser learns of its own half-painted pictures: that they, too, are to become what was asked for.

On a painting's path from noise much of what a text names can soon be seen in x_t, so there is little need to
read the text. Where the model's own path has lost something, x_t does not tell of it. So some texts of a
batch are painted as a sampler does, coarsely and with guidance, and of the states on the way the clean
latents are foreseen once more, now with gradients, for the reader to judge.

n texts  k states of each  b batch  c channels  h w latent  m text tokens  d width of the text encoder

Source: Xu et al. 2023, "ImageReward", 4 (ReFL: the reward of what a late step foresees, the steps before it
without gradients); here for states all along the way, under guidance.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .. import flow

STEPS = 8  # of a painting
EVERY = 2  # so many steps apart are the states that are learned from
GUIDANCE = 3.0


class States(NamedTuple):
    """Where the model's own paintings were: all n of them at one time, then at the next."""

    rows: Tensor  # (k·n,), which of the batch's texts
    x_t: Tensor  # (k·n, c, h, w)
    t: Tensor  # (k·n,)
    uncond: Tensor  # (k·n, c, h, w), the velocity there without a text

    def foreseen(self, cond: Tensor) -> Tensor:
        """Returns the clean latents that the guided velocity leads to; `cond` is the one with the text."""
        return flow.denoised(self.x_t, self.t, flow.cfg(cond, self.uncond, GUIDANCE))


@torch.no_grad()
def paint(
    model: nn.Module, like: Tensor, text: Tensor, mask: Tensor, count: int, generator: torch.Generator
) -> States:
    """Paints `count` texts of a batch and returns states on the way, of early and late times alike.

    Args:
        model: velocity of (x_t, t, text, mask).
        like: (b, c, h, w), latents of that size are painted.
        text: (b, m, d).
        mask: (b, m), bool.
        count: how many texts; all of a smaller batch.
        generator: decides which texts, the noise and the times; on the CPU.
    """
    rows = torch.randperm(len(text), generator=generator)[:count]
    late = torch.rand((), generator=generator)
    first = int(torch.randint(EVERY, (), generator=generator))
    times = torch.cat((torch.zeros(1), (torch.arange(STEPS) + late) / STEPS, torch.ones(1)))
    x = torch.randn((len(rows), *like.shape[1:]), generator=generator).to(like.device)
    rows = rows.to(text.device)
    both = text[rows].repeat(2, 1, 1), torch.cat((mask[rows], torch.zeros_like(mask[rows])))
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        cond, uncond = model(x.repeat(2, 1, 1, 1), t.repeat(2), *both).float().chunk(2)
        seen.append((x, t, uncond))
        return flow.cfg(cond, uncond, GUIDANCE)

    for _ in flow.euler(velocity, x, times):
        pass
    kept = seen[first::EVERY]
    return States(rows.repeat(len(kept)), *map(torch.cat, zip(*kept, strict=True)))
