"""The linear layers of aesthetic predictors, which make a score of about 1 to 10 of a picture's embedding.

Convention: both have five linear layers with dropout in training and no activation between them. Version 2
(LAION's `sac+logos+ava1-l14-linearMSE`) reads CLIP ViT-L/14's embedding, 768 wide, version 2.5 (discus0434)
the pooled one of SigLIP so400m, 1152 wide; both at unit length.
Source: spec 2.9 and 3.4.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import torch
from torch import nn

from .pretrained import read_tensors

HIDDEN = (1024, 128, 64, 16, 1)
_LAYER = re.compile(r"(?:^|\.)(\d+)\.(weight|bias)$")


def make_head(width: int) -> nn.Sequential:
    """Returns the predictor's layers for embeddings of `width`, without dropout; fresh weights are random."""
    sizes = (width, *HIDDEN)
    return nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(sizes)))


def load_head(path: Path) -> nn.Sequential:
    """Returns the predictor's layers from a .safetensors file or the published .pth.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no five linear layers of the predictor's sizes.
    """
    tensors = read_tensors(path)
    found = {name: _LAYER.search(name) for name in tensors}
    numbers = sorted({int(match[1]) for match in found.values() if match})
    plain = {f"{numbers.index(int(m[1]))}.{m[2]}": tensors[name].float() for name, m in found.items() if m}
    with torch.device("meta"):
        head = make_head(plain["0.weight"].shape[-1] if "0.weight" in plain else 1)
    wanted = {name: tensor.shape for name, tensor in head.state_dict().items()}
    if wanted != {name: tensor.shape for name, tensor in plain.items()}:
        sizes = "-".join(map(str, ("width", *HIDDEN)))
        raise ValueError(
            f"{path} must hold five linear layers {sizes} and does not; get the predictor's file"
        )
    head.load_state_dict(plain, assign=True)
    return head.eval().requires_grad_(False)
