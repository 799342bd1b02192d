"""Who takes part: which engine, in which precision, from which file, with how many rows at once.

Convention: an engine is a class with `load` and `write`; what cannot take part raises Unavailable with the
reason.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

PRESAMPLE, TRANSFORMERS, LLAMA_CPP = "presample", "transformers", "llama.cpp"


class Unavailable(Exception):
    """This engine or precision cannot run here; the message says why."""


@dataclass(frozen=True)
class Timing:
    """What one request took, in seconds: to the first token, and to the last of `tokens` over all rows."""

    first: float
    total: float
    tokens: int

    @property
    def rate(self) -> float:
        """Tokens a second of the whole request, the reading of its prompt included."""
        return self.tokens / self.total

    def step_rate(self, rows: int) -> float:
        """Tokens a second after the first one of each row."""
        later = self.tokens - rows
        return later / (self.total - self.first) if later else 0.0


class Writer(Protocol):
    """A loaded model of some engine."""

    def write(self, prompts: Sequence[Sequence[int]], new_tokens: int, *, seed: int) -> Timing:
        """Writes `new_tokens` after each prompt."""


@dataclass(frozen=True)
class Model:
    """What is loaded once and may serve several contestants; `file` is one that `Files.path` knows."""

    engine: str
    precision: str
    file: str = "safetensors"

    @property
    def label(self) -> str:
        """What it is among the models of its engine."""
        return self.precision + (f" ({self.file} file)" if self.ours and self.file != "safetensors" else "")

    @property
    def name(self) -> str:
        return f"{self.engine} {self.label}"

    @property
    def ours(self) -> bool:
        return self.engine == PRESAMPLE


@dataclass(frozen=True)
class Contestant:
    """A model asked to write `batch` rows at once, of the same prompt or of different ones (`ragged`)."""

    model: Model
    batch: int = 1
    ragged: bool = False
    cuda_graph: bool = True

    @property
    def label(self) -> str:
        """What it is among the contestants of its engine."""
        many = f" × {self.batch}" if self.batch > 1 else ""
        return self.model.label + many + " mixed" * self.ragged + " no graph" * (not self.cuda_graph)

    @property
    def name(self) -> str:
        return f"{self.model.engine} {self.label}"

    def facts(self) -> dict:
        """Returns what it is as plain data."""
        own = {name: getattr(self, name) for name in ("batch", "ragged", "cuda_graph")}
        return {"name": self.name, "label": self.label, **asdict(self.model), **own}


def line_up(
    device: str,
    *,
    batches: Sequence[int],
    only: str | None = None,
    ragged: bool = False,
    peer_batches: bool = False,
) -> list[Contestant]:
    """Returns everyone who may take part on `device`, peers first; `only` is "ours", "peers" or None."""
    cuda = device.startswith("cuda")
    found = []
    if only != "ours":
        precisions = ("bfloat16", "float16") if cuda else ("float32", "bfloat16", "float16")
        many = [n for n in batches if n > 1] if peer_batches else []
        found += [Contestant(Model(TRANSFORMERS, name), n) for name in precisions for n in (1, *many)]
        found += [Contestant(Model(LLAMA_CPP, name, name)) for name in ("F16", "Q8_0")]
    if only != "peers":
        for name in ("bfloat16",) if cuda else ("float32", "bfloat16", "int8"):
            for graph in (True, False) if cuda else (True,):
                model = Model(PRESAMPLE, name)
                found += [Contestant(model, n, cuda_graph=graph) for n in batches]
                found += [
                    Contestant(model, n, ragged=True, cuda_graph=graph) for n in batches if ragged and n > 1
                ]
    return found
