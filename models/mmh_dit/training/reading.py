"""What the little world's denoiser is taught beside the flow: that its pictures show what their prompts say.

The error of a velocity hardly tells whether a bird is there: it is one cell of 256, and while its place is
open the mean of all places has none. So a small network is trained first that reads the attributes of a scene
off clean latents. Then the latents that a denoiser foresees, x_t + (1 - t) v, are read, too, and what their
prompt demands must be there: the surprise of the reader adds to the loss. Prompts that are left out for
guidance demand nothing. The reader judges nothing in the end: that does the oracle, which sees pixels.
Source: Xu et al. 2023, "ImageReward", 4 (a reward of what a single step foresees).

b batch  c channels  h w latent  a attributes  v values
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...files import read_safetensors, written
from ...latents import CHANNELS
from ...seeds import generator_for
from ...tinyworld.oracle import by_attribute, values_count
from .world import NOTHING, Bank

NEAR, FAR = 96, 192  # channels at the latents' size, and at half of it
GRID = 4  # rows and columns of the coarse grid that is read
GROUPS = 8
BATCH, RATE, DECAY = 64, 2e-3, 0.02
NOISE = 0.4  # most noise in the latents that the reader learns from


class Reader(nn.Module):
    """Reads the attributes of scenes off latents."""

    def __init__(self):
        super().__init__()
        self.near = nn.Sequential(
            nn.Conv2d(CHANNELS + 2, NEAR, 3, padding=1), *(_Block(NEAR) for _ in range(2))
        )
        self.far = nn.Sequential(nn.Conv2d(NEAR, FAR, 2, stride=2), *(_Block(FAR) for _ in range(2)))
        self.heads = nn.Linear(FAR * (GRID * GRID + 1), values_count())

    def forward(self, latents: Tensor) -> Tensor:
        """Returns scores (b, a, v) of latents (b, c, h, w); a value that an attribute lacks has -10,000."""
        h, w = latents.shape[-2:]
        rows = torch.linspace(-1, 1, h, device=latents.device)[:, None].expand(h, w)
        columns = torch.linspace(-1, 1, w, device=latents.device).expand(h, w)
        places = torch.stack((columns, rows)).to(latents.dtype).expand(len(latents), 2, h, w)
        x = functional.silu(self.far(self.near(torch.cat((latents, places), 1))))
        grid = functional.adaptive_avg_pool2d(x, GRID).flatten(1)
        return by_attribute(self.heads(torch.cat((x.amax((2, 3)), grid), 1)))


class _Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(GROUPS, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(GROUPS, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def surprise(scores: Tensor, shown: Tensor, asked: Tensor) -> Tensor:
    """Returns the mean over what is asked of the reader's loss in nats; 0 if nothing is.

    Args:
        scores: (b, a, v).
        shown: (b, a), numbers of the right values; any number where nothing is asked.
        asked: (b, a), bool.
    """
    right = shown.masked_fill(~asked, 0)
    each = functional.cross_entropy(scores.flatten(0, 1), right.flatten(), reduction="none").view_as(right)
    return (each * asked).sum() / asked.sum().clamp_min(1)


def reader(bank: Bank, path: Path, *, steps: int, seed: int, accelerator) -> Reader:
    """Returns the frozen reader of a file; trains it first where there is none, in the main process.

    Raises:
        ValueError: no size of the bank has a batch of scenes.
    """
    from safetensors.torch import save_file

    found = _fresh(seed).to(accelerator.device)
    with accelerator.main_process_first():
        if not path.exists():
            _train(found, bank, steps=steps, seed=seed, accelerator=accelerator)
            path.parent.mkdir(parents=True, exist_ok=True)
            with written(path) as half:
                save_file({name: t.detach().cpu() for name, t in found.state_dict().items()}, half)
    found.load_state_dict(read_safetensors(path))
    return found.eval().requires_grad_(False)


def _fresh(seed: int) -> Reader:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator_for(seed, 31).initial_seed())
        return Reader()


def _train(found: Reader, bank: Bank, *, steps: int, seed: int, accelerator) -> None:
    """A run of minutes: no checkpoints, no average."""
    from tqdm import trange

    scenes = {size: (shown != NOTHING).all(1).nonzero()[:, 0] for size, shown in bank.shown.items()}
    sizes = [size for size, rows in scenes.items() if len(rows) >= BATCH]
    if not sizes:
        raise ValueError(f"the reader needs {BATCH} scenes of a size: paint more, or give --reading 0")
    often = torch.tensor([float(len(scenes[size])) for size in sizes])
    optimizer = torch.optim.AdamW(found.parameters(), lr=RATE, weight_decay=DECAY)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    generator = generator_for(seed, 32)
    for _ in (bar := trange(steps, desc="reader", mininterval=5)):
        size = sizes[int(torch.multinomial(often, 1, generator=generator))]
        rows = scenes[size][torch.randint(len(scenes[size]), (BATCH,), generator=generator)]
        latents = bank.latents[size][rows].float()
        noise = torch.randn(latents.shape, generator=generator)
        latents = latents + NOISE * torch.rand(BATCH, 1, 1, 1, generator=generator) * noise
        shown = bank.shown[size][rows].long().to(accelerator.device)
        with accelerator.autocast():
            loss = surprise(found(latents.to(accelerator.device)), shown, torch.ones_like(shown).bool())
        loss.backward()
        optimizer.step()
        rates.step()
        optimizer.zero_grad()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    logging.getLogger("presample").info("the reader's last loss was %.3f nats an attribute", loss.item())
