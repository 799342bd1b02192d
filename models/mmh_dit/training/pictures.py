"""Pictures during a training: the same prompts from the same noise, in one PNG for each time.

b pictures  h w latent  H W image
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...trainer.fit import Moment
from .. import flow

Decode = Callable[[Tensor], Tensor]  # latents (b, 16, h, w) -> images (b, 3, H, W) in 0..1

# A latent's first three axes of most use, where nothing decodes it: mean of four channels each.
CHANNELS = ((0, 3, 6, 9), (1, 4, 7, 10), (2, 5, 8, 11))


def preview(latents: Tensor) -> Tensor:
    """Returns rough pictures (b, 3, h, w) of latents without a decoder: groups of channels as colours."""
    found = torch.stack([latents[:, list(group)].mean(1) for group in CHANNELS], 1)
    return (0.5 + 0.5 * found).clamp(0, 1)


@dataclass(frozen=True)
class Pictures:
    """Samples `text` (b prompts) at the latent `size` (h, w), and writes `step-000123.png` into `folder`."""

    folder: Path
    text: flow.Text
    size: tuple[int, int]
    options: flow.SampleOptions
    decode: Decode = preview
    seed: int = 0
    channels: int = 16

    def __call__(self, moment: Moment) -> None:
        """Every process samples, as a model that is spread over them needs; the main one writes."""
        count = len(self.text.tokens)
        noise = flow.noise((self.channels, *self.size), range(self.seed, self.seed + count))
        tokens = self.text.tokens.to(moment.device)
        mask = None if self.text.mask is None else self.text.mask.to(moment.device)
        with torch.compiler.set_stance("force_eager"):  # for a few pictures nothing is compiled
            latents = flow.sample(
                moment.model, noise.to(moment.device), flow.Text(tokens, mask), options=self.options
            )
        if moment.main:
            write_png(grid(self.decode(latents.float().cpu())), self.folder / f"step-{moment.step:06d}.png")


def grid(images: Tensor, *, gap: int = 4) -> Tensor:
    """Returns one picture (3, H, W) of images (b, 3, h, w) in rows, as square as it goes, on white."""
    count, _, h, w = images.shape
    columns = max(1, round((count * h / w) ** 0.5))
    rows = -(-count // columns)
    sheet = torch.ones(3, rows * (h + gap) - gap, columns * (w + gap) - gap)
    for i, image in enumerate(images):
        y, x = (i // columns) * (h + gap), (i % columns) * (w + gap)
        sheet[:, y : y + h, x : x + w] = image
    return sheet


def write_png(image: Tensor, path: Path) -> None:
    """Writes a picture (3, H, W) in 0..1."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    values = (image.clamp(0, 1) * 255 + 0.5).byte().permute(1, 2, 0)
    Image.fromarray(values.numpy()).save(path)
