"""The engine that is measured: `lm.decode` with a guide that only counts."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ..lm import quant
from ..lm.checkpoint import LanguageModel, load_language_model
from ..lm.decode import Row, Session, decode
from ..lm.sampling import Sampling
from .contestants import Timing, Unavailable

SAMPLING = Sampling(temperature=0.5, top_k=80, top_p=0.95, min_p=0.05)
CACHE_STEP = 256  # `tipo.expand` asks for caches in multiples of this


class Counting:
    """A guide that forbids nothing, keeps everything and ends only when it must."""

    def __init__(self):
        self.done, self.count = False, 0

    def forbidden(self) -> Sequence[int]:
        return ()

    def take(self, token: int, chance: float) -> int:
        self.count += 1
        return 0

    def stop(self) -> None:
        self.done = True


class Presample:
    """A language model of ours."""

    def __init__(self, language: LanguageModel):
        self.language = language

    @classmethod
    def load(cls, path: Path, precision: str, *, device: str, threads: int) -> "Presample":
        if precision == "int8" and not quant.available():
            raise Unavailable("this torch has no int8 kernels for this processor")
        return cls(load_language_model(path, device=device, precision=precision))

    def write(
        self, prompts: Sequence[Sequence[int]], new_tokens: int, *, seed: int, cuda_graph: bool = True
    ) -> Timing:
        """Writes `new_tokens` after each prompt, in a session of its own as each request has."""
        firsts: list[float] = []

        def on_step() -> None:
            if not firsts:
                firsts.append(time.perf_counter())

        begin = time.perf_counter()
        rows = [
            Row(prompt, Counting(), torch.Generator().manual_seed(seed + i))
            for i, prompt in enumerate(prompts)
        ]
        length = -(-(max(map(len, prompts)) + new_tokens) // CACHE_STEP) * CACHE_STEP
        session = Session(self.language, len(rows), min(length, self.language.config.context))
        if not cuda_graph:
            session.graph = None
        decode(session, rows, SAMPLING, max_new_tokens=new_tokens, on_step=on_step)
        end = time.perf_counter()
        return Timing(firsts[0] - begin, end - begin, sum(row.guide.count for row in rows))
