"""How a small TIPO model is trained: what `presample train tipo` asks."""

from dataclasses import dataclass

from ...options import default, option
from ...trainer.options import FitOptions


@dataclass(frozen=True)
class TrainOptions(FitOptions):
    """How the small model is trained. The defaults make the bundled one."""

    out: str = default(FitOptions, "out", "models/bundled/tipo-tiny")
    steps: int = default(FitOptions, "steps", 12000)
    lr: float = default(FitOptions, "lr", 3e-3)
    ema: float = default(FitOptions, "ema", 0.0)
    guard: bool = default(FitOptions, "guard", False)
    tokens: int = option(4096, "Tokens in a batch of one process.", low=512, high=10**7, step=1)
    hidden: int = option(192, "Width.", low=16, high=8192, step=16)
    layers: int = option(4, "Depth.", low=1, high=100, step=1)
    heads: int = option(3, "Attention heads.", low=1, high=128, step=1)
    mlp: int = option(512, "Width of the gated MLP.", low=16, high=32768, step=16)
    vocabulary: int = option(2048, "Entries of the tokenizer, special tokens included.", low=512, high=65536)
    workers: int = option(
        0, "Processes that make the data; they change nothing but the speed.", low=0, high=256, beside=True
    )
