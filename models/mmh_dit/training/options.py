"""How an MMH-DiT is trained: what `presample train mmh-dit` asks. Source: spec 2.2, 2.6, 2.8, 2.9."""

from dataclasses import dataclass

import torch

from ...options import default, option
from ...trainer.options import FitOptions
from .. import flow

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class TrainOptions(FitOptions, flow.FlowOptions):
    """How an MMH-DiT is trained."""

    out: str = default(FitOptions, "out", "models/bundled/mmh-dit-tiny")
    steps: int = default(FitOptions, "steps", 16000)
    lr: float = default(FitOptions, "lr", 3e-3)
    beta2: float = default(FitOptions, "beta2", 0.99)
    ema: float = default(FitOptions, "ema", 0.999)
    weight_decay: float = default(FitOptions, "weight_decay", 0.0)
    shift: float = default(flow.FlowOptions, "shift", 3.0)
    batch: int = option(64, "Pictures in a batch of one process.", low=1, high=10**5, step=1)
    drop: float = option(0.1, "Share of pictures whose text is left out, for guidance.", low=0.0, high=1.0)
    stage: tuple[str, ...] = option(
        (), "Cached data, repeatable: 'begin=0 latents=DIR texts=DIR batch=64'. None: the little world."
    )
    start: str = option("", "Model file to begin with; its shape counts, not the one below.")
    blend: float = option(
        1.0,
        "How far the weights that are written go from --start's to the trained ones; 1 is all the way.",
        low=0.0,
        high=1.0,
    )
    config: str = option("", "JSON file with the model's shape, or `full`. Empty: the shape below.")
    hidden: int = option(192, "Width.", low=16, high=8192, step=16)
    heads: str = option("4,4,8,8,12,12,16,16", "Heads of every block, as many as there are blocks.")
    mlp: int = option(512, "Width of the gated MLP.", low=16, high=32768, step=16)
    text_dim: int = option(128, "Width of the text states.", low=1, high=16384, step=1)
    text_len: int = option(128, "Most tokens of a text.", low=1, high=1024, step=1)
    gate: float = option(0.3, "Where gates begin; 0 for deep models, more for small ones.", low=0.0, high=2.0)
    checkpointing: bool = option(False, "Compute blocks again for their gradients: less memory, more time.")
    compile: bool = option(
        False,
        "Compile the blocks with torch.compile: minutes at first, then faster steps. It needs a C++ compiler,"
        " on a GPU Triton too.",
        beside=True,
    )
    dtype: str = option("fp16", "Type of the weights in the file.", choices=DTYPES)
    reading: float = option(
        0.1,
        "Weight of what a reader misses in the pictures that are foreseen; of the little world alone. 0 needs"
        " no reader.",
        low=0.0,
        high=100.0,
    )
    feedback: int = option(
        0,
        "Texts of a batch that the model paints itself, to learn from what the reader misses on the way.",
        low=0,
        high=10**5,
        step=1,
    )
    reader_steps: int = option(
        1500, "Steps of training the reader, before the denoiser's.", low=1, high=10**6, step=1
    )
    pictures: int = option(98304, "Scenes of the little world to paint.", low=256, high=10**7, step=256)
    decoder: str = option(
        "",
        "TAESD file with 16 channels that makes samples of cached latents visible. Empty: rough colours.",
        beside=True,
    )
    samples_every: int = option(
        500, "Steps between sheets of sample pictures.", low=1, high=10**7, step=1, beside=True
    )
    samples: int = option(16, "Pictures of a sheet; 0 makes none.", low=0, high=256, step=1, beside=True)
    cfg: float = option(3.0, "Guidance of the samples.", low=0.0, high=30.0, step=0.1, beside=True)
    workers: int = option(
        0, "Processes that read the data; they only change the speed.", low=0, high=256, beside=True
    )
    balance: float = option(
        1.0,
        "Shapes are drawn as their number of pictures to this power: 1 shows every picture once an epoch,"
        " 0.5 shows rare shapes more often.",
        low=0.0,
        high=1.0,
    )
