"""The Inception network of the Fréchet Inception distance, up to its 2048 pooled features.

Convention: images are (b, 3, 299, 299) in 0..1; the network sees (255 x - 128) / 128, as the one that came
with the first FID. Its pools leave out what lies beyond the edge, and its last block takes the largest value
where torchvision takes the mean. Weights: `pt_inception-2015-12-05-6726825d.pth` of pytorch-fid.
Source: Szegedy et al. 2015, "Rethinking the Inception Architecture"; Heusel et al. 2017.

b batch
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from .pretrained import read_tensors

SIDE, WIDTH = 299, 2048


class Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inner: int, outer: int, kernel, *, stride: int = 1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outer, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


# A branch is a chain of (name, channels, kernel, stride, padding); "mean" and "max" are pools. A block lays
# its branches beside each other; ("fork", …) ends a branch with two convolutions of the same input.
WIDE, TALL = ((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0))


def _a(pool: int):
    return (
        (("branch1x1", 64, 1, 1, 0),),
        (("branch5x5_1", 48, 1, 1, 0), ("branch5x5_2", 64, 5, 1, 2)),
        (
            ("branch3x3dbl_1", 64, 1, 1, 0),
            ("branch3x3dbl_2", 96, 3, 1, 1),
            ("branch3x3dbl_3", 96, 3, 1, 1),
        ),
        ("mean", ("branch_pool", pool, 1, 1, 0)),
    )


def _c(mid: int):
    row, column = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
    return (
        (("branch1x1", 192, 1, 1, 0),),
        (("branch7x7_1", mid, 1, 1, 0), ("branch7x7_2", mid, *row), ("branch7x7_3", 192, *column)),
        (
            ("branch7x7dbl_1", mid, 1, 1, 0),
            ("branch7x7dbl_2", mid, *column),
            ("branch7x7dbl_3", mid, *row),
            ("branch7x7dbl_4", mid, *column),
            ("branch7x7dbl_5", 192, *row),
        ),
        ("mean", ("branch_pool", 192, 1, 1, 0)),
    )


def _e(pool: str):
    return (
        (("branch1x1", 320, 1, 1, 0),),
        (
            ("branch3x3_1", 384, 1, 1, 0),
            ("fork", ("branch3x3_2a", 384, *WIDE), ("branch3x3_2b", 384, *TALL)),
        ),
        (
            ("branch3x3dbl_1", 448, 1, 1, 0),
            ("branch3x3dbl_2", 384, 3, 1, 1),
            ("fork", ("branch3x3dbl_3a", 384, *WIDE), ("branch3x3dbl_3b", 384, *TALL)),
        ),
        (pool, ("branch_pool", 192, 1, 1, 0)),
    )


_B = (
    (("branch3x3", 384, 3, 2, 0),),
    (("branch3x3dbl_1", 64, 1, 1, 0), ("branch3x3dbl_2", 96, 3, 1, 1), ("branch3x3dbl_3", 96, 3, 2, 0)),
    ("max2",),
)
_D = (
    (("branch3x3_1", 192, 1, 1, 0), ("branch3x3_2", 320, 3, 2, 0)),
    (
        ("branch7x7x3_1", 192, 1, 1, 0),
        ("branch7x7x3_2", 192, (1, 7), 1, (0, 3)),
        ("branch7x7x3_3", 192, (7, 1), 1, (3, 0)),
        ("branch7x7x3_4", 192, 3, 2, 0),
    ),
    ("max2",),
)
STEM = (
    (("Conv2d_1a_3x3", 32, 3, 2, 0), ("Conv2d_2a_3x3", 32, 3, 1, 0), ("Conv2d_2b_3x3", 64, 3, 1, 1)),
    (("Conv2d_3b_1x1", 80, 1, 1, 0), ("Conv2d_4a_3x3", 192, 3, 1, 0)),
)
BLOCKS = {
    "Mixed_5b": _a(32),
    "Mixed_5c": _a(64),
    "Mixed_5d": _a(64),
    "Mixed_6a": _B,
    "Mixed_6b": _c(128),
    "Mixed_6c": _c(160),
    "Mixed_6d": _c(160),
    "Mixed_6e": _c(192),
    "Mixed_7a": _D,
    "Mixed_7b": _e("mean"),
    "Mixed_7c": _e("max"),
}


class Block(nn.Module):
    """Branches beside each other."""

    def __init__(self, inner: int, branches):
        super().__init__()
        self.branches = branches
        self.width = sum(self._grow(inner, branch) for branch in branches)

    def _grow(self, width: int, branch) -> int:
        for step in branch:
            if isinstance(step, str):
                continue
            if step[0] == "fork":
                return sum(self._add(width, each) for each in step[1:])
            width = self._add(width, step)
        return width

    def _add(self, width: int, step) -> int:
        name, outer, kernel, stride, padding = step
        self.add_module(name, Conv(width, outer, kernel, stride=stride, padding=padding))
        return outer

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._branch(x, branch) for branch in self.branches], 1)

    def _branch(self, x: Tensor, branch) -> Tensor:
        for step in branch:
            if isinstance(step, str):
                x = POOLS[step](x)
            elif step[0] == "fork":
                return torch.cat([self.get_submodule(each[0])(x) for each in step[1:]], 1)
            else:
                x = self.get_submodule(step[0])(x)
        return x


POOLS = {
    "mean": lambda x: functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    "max": lambda x: functional.max_pool2d(x, 3, 1, 1),
    "max2": lambda x: functional.max_pool2d(x, 3, 2),
}


class Inception(nn.Module):
    """Images (b, 3, 299, 299) in 0..1 to features (b, 2048)."""

    def __init__(self):
        super().__init__()
        width = 3
        for name, outer, kernel, stride, padding in (step for group in STEM for step in group):
            self.add_module(name, Conv(width, outer, kernel, stride=stride, padding=padding))
            width = outer
        for name, branches in BLOCKS.items():
            block = Block(width, branches)
            self.add_module(name, block)
            width = block.width

    def forward(self, images: Tensor) -> Tensor:
        x = (images * 255 - 128) / 128
        for group in STEM:
            for name, *_ in group:
                x = self.get_submodule(name)(x)
            x = POOLS["max2"](x)
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
        return x.mean((2, 3))


def load_inception(path: Path) -> Inception:
    """Returns the network of pytorch-fid's file or of a .safetensors file with the same names.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds another network.
    """
    tensors = {
        name: x for name, x in read_tensors(path).items() if not name.startswith(("fc.", "AuxLogits."))
    }
    with torch.device("meta"):
        network = Inception()
    wanted = {n: x.shape for n, x in network.state_dict().items() if not n.endswith("num_batches_tracked")}
    if wanted != {n: x.shape for n, x in tensors.items() if not n.endswith("num_batches_tracked")}:
        raise ValueError(f"{path} must hold the Inception of FID; get pt_inception-2015-12-05-6726825d.pth")
    network.to_empty(device="cpu").load_state_dict(tensors, strict=False)
    return network.eval().requires_grad_(False)
