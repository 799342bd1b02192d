"""Where tokens stand in the picture's plane, and the rotations that tell attention so.

Dimension key: b batch  s tokens of the joint sequence  n image tokens  m text tokens  h, w latent height,
width in patches  k heads  e head size.

Convention: positions are (row, column); image tokens from (0, 0), row by row; the text part [BOS, text] of
1 + m tokens ends just before (0, 0) on the diagonal, at -1. The first half of a head turns with the row, the
second with the column; pairs are adjacent (2i, 2i + 1) and turn by position · theta^(-2i / (e/2)).
Sources: Su et al. 2021 (arXiv 2104.09864) eq. 34; spec 2.2 and 2.4.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stretch:
    """How image positions are changed: position · scale + shift, on each axis (row, column)."""

    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)


PLAIN = Stretch()


def image_positions(h: int, w: int, *, stretch: Stretch = PLAIN, device=None) -> Tensor:
    """Returns (h·w, 2): the row and column of each patch, in float32."""
    rows, columns = (
        torch.arange(size, dtype=torch.float32, device=device) * scale + shift
        for size, scale, shift in zip((h, w), stretch.scale, stretch.shift, strict=True)
    )
    return torch.stack((rows[:, None].expand(h, w), columns.expand(h, w)), -1).view(h * w, 2)


def text_positions(m: int, mask: Tensor | None = None, *, kind: str = "diagonal", device=None) -> Tensor:
    """Returns (b or 1, 1 + m, 2): where BOS and the text tokens stand.

    `mask` (b, m) is True for tokens that are there: only those are counted, so padding moves nothing.
    """
    if mask is None:
        mask = torch.ones(1, m, dtype=torch.bool, device=device)
    if kind == "zero":
        return torch.zeros(len(mask), 1 + m, 2, device=mask.device)
    real = torch.nn.functional.pad(mask, (1, 0), value=True).float()  # BOS is always there
    place = real.cumsum(1) - 1 - real.sum(1, keepdim=True)
    return place[..., None].expand(-1, -1, 2)


def joint_positions(text: Tensor, image: Tensor) -> Tensor:
    """Returns (b or 1, s, 2) of text positions (b or 1, 1 + m, 2) and image positions (n, 2)."""
    return torch.cat((text, image.expand(len(text), -1, -1)), 1)


def rotation_table(positions: Tensor, head_dim: int, theta: float) -> Tensor:
    """Returns complex rotations (b or 1, s, 1, e/2) for heads of `head_dim` at positions (b or 1, s, 2)."""
    quarter = head_dim // 4  # pairs on each axis
    exponent = torch.arange(quarter, dtype=torch.float64, device="cpu") / quarter
    frequency = (theta**-exponent).to(positions.device, torch.float32)
    angle = (positions[..., None] * frequency).flatten(-2)  # (b, s, e/2)
    return torch.polar(torch.ones_like(angle), angle)[:, :, None]


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Returns x (b, s, k, e), each adjacent pair turned by `table` (b or 1, s, 1, e/2) in float32."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table).flatten(-2).type_as(x)
