"""The race: every contestant writes in turn, round after round, so that a noisy machine is noisy for all.

Speeds are medians over the rounds; a ratio is the median of the ratios within each round. Loading and memory
are measured apart, each model in a process of its own (`alone.py`).
"""

import gc
import os
import platform
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import torch

from . import ours, peers, vocabulary
from .contestants import (
    LLAMA_CPP,
    PRESAMPLE,
    TRANSFORMERS,
    Contestant,
    Model,
    Timing,
    Unavailable,
)
from .engines import open_writer
from .files import Files, Shape

VERSION = 1
WARM_UP_TOKENS = 4


@dataclass(frozen=True)
class Settings:
    """What is measured, and how often."""

    shape: Shape
    device: str = "cpu"
    threads: int = 1
    repeats: int = 5
    new_tokens: int = 96
    prompt_tokens: int = 60
    seed: int = 0

    def __post_init__(self):
        for name in ("threads", "repeats", "new_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.prompt_tokens < 2:
            raise ValueError(f"prompt_tokens must be at least 2, got {self.prompt_tokens}")
        total = self.prompt_tokens + self.new_tokens
        if total > self.shape.context:
            raise ValueError(
                f"prompt and new tokens must fit the {self.shape.context} tokens of shape {self.shape.name}, "
                f"got {total}; ask for fewer"
            )

    def prompts(self, contestant: Contestant, turn: int) -> list[list[int]]:
        """Returns the prompts of a round: made-up tokens, the same for every contestant."""
        lengths = [self.prompt_tokens] * contestant.batch
        if contestant.ragged:  # from half to the whole of it
            lengths = [max(2, n - n * i // (2 * contestant.batch)) for i, n in enumerate(lengths)]
        last = self.shape.vocab_size - vocabulary.ADDED
        found = []
        for row, length in enumerate(lengths):
            draw = random.Random(f"{self.seed} {turn} {row if contestant.ragged else 0}")
            found.append([1, *(draw.randrange(vocabulary.FIRST_PIECE, last) for _ in range(length - 1))])
        return found


@dataclass
class Race:
    """Who ran and how fast: for each contestant one timing a round; `skipped` says why others did not run."""

    settings: Settings
    timings: dict[Contestant, list[Timing]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def rate(self, contestant: Contestant) -> float:
        return statistics.median(timing.rate for timing in self.timings[contestant])

    def best(self, engine: str, *precisions: str) -> Contestant | None:
        """Returns the fastest single stream of an engine, in one of `precisions` if they are given."""
        found = [c for c in self.timings if c.model.engine == engine and c.batch == 1]
        found = [c for c in found if not precisions or c.model.precision in precisions]
        return max(found, key=self.rate, default=None)

    def baselines(self) -> dict[str, Contestant]:
        """Returns whom the others are compared with, by the engine's name."""
        found = {TRANSFORMERS: self.best(TRANSFORMERS), LLAMA_CPP: self.best(LLAMA_CPP, "Q8_0")}
        return {engine: contestant for engine, contestant in found.items() if contestant}

    def ratios(self, contestant: Contestant, baseline: Contestant) -> list[float]:
        """Returns how many times as fast as `baseline` the contestant was in each round."""
        pairs = zip(self.timings[contestant], self.timings[baseline], strict=True)
        return [one.rate / other.rate for one, other in pairs]


def race(
    contestants: Sequence[Contestant], files: Files, settings: Settings, *, on_step: Callable[[str], None]
) -> Race:
    """Runs all contestants that can run here, in turn; `on_step` is told who is about to load or to write."""
    found = Race(settings)
    writers = _open(contestants, files, settings, found, on_step)
    runners = [c for c in contestants if c.model in writers and _warm_up(c, writers[c.model], found, on_step)]
    found.timings = {contestant: [] for contestant in runners}
    for turn in range(settings.repeats):
        first = turn * len(runners) // settings.repeats  # nobody is always behind the same neighbour
        for contestant in runners[first:] + runners[:first]:
            on_step(contestant.name)
            timing = run(contestant, writers[contestant.model], settings, turn=turn)
            found.timings[contestant].append(timing)
    return found


def steps(contestants: Sequence[Contestant], settings: Settings) -> int:
    """Returns how often `race` calls `on_step` when everyone can run."""
    return len({c.model for c in contestants}) + len(contestants) * (1 + settings.repeats)


def _open(contestants, files: Files, settings: Settings, found: Race, on_step) -> dict[Model, object]:
    writers = {}
    for model in dict.fromkeys(c.model for c in contestants):
        on_step(f"loading {model.name}")
        try:
            writers[model] = open_writer(model, files, device=settings.device, threads=settings.threads)
        except Unavailable as reason:
            found.skipped[model.name] = str(reason)
    return writers


def _warm_up(contestant: Contestant, writer, found: Race, on_step) -> bool:
    """Returns whether the contestant can run: an old torch has no float16 kernels, a GPU may be too small."""
    on_step(f"warming up {contestant.name}")
    try:
        run(contestant, writer, found.settings, turn=-1, new_tokens=WARM_UP_TOKENS)
    except RuntimeError as error:
        found.skipped[contestant.name] = str(error)
        return False
    return True


def run(
    contestant: Contestant, writer, settings: Settings, *, turn: int, new_tokens: int | None = None
) -> Timing:
    """Returns the timing of one request."""
    gc.collect()
    options = {} if contestant.cuda_graph else {"cuda_graph": False}
    wanted = new_tokens or settings.new_tokens
    prompts = settings.prompts(contestant, turn)
    timing = writer.write(prompts, wanted, seed=settings.seed + 1000 * turn + 1000, **options)
    assert timing.tokens == wanted * contestant.batch, (contestant.name, timing)
    return timing


# The report


def report(
    found: Race,
    alone: Mapping[str, Mapping],
    *,
    machine: Mapping[str, object],
    skipped_alone: Mapping[str, str] | None = None,
) -> dict:
    """Returns everything as plain data for JSON; `alone` is what `alone.summary` found for each model.

    `machine` is what `facts_of_machine` said before the race, so that its load is not the race's own.
    """
    baselines = found.baselines()
    return {
        "benchmark": "lm",
        "version": VERSION,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": dict(machine),
        "settings": _settings_facts(found.settings),
        "baselines": {engine: contestant.name for engine, contestant in baselines.items()},
        "results": [_result(found, c, baselines, alone) for c in found.timings],
        "alone": {name: dict(facts) for name, facts in alone.items()},
        "skipped": {**(skipped_alone or {}), **found.skipped},
    }


def _result(found: Race, contestant: Contestant, baselines, alone) -> dict:
    timings = found.timings[contestant]
    model = alone.get(contestant.model.name, {})
    return {
        **contestant.facts(),
        "tokens_per_second": found.rate(contestant),
        "step_tokens_per_second": statistics.median(t.step_rate(contestant.batch) for t in timings),
        "first_token_seconds": statistics.median(t.first for t in timings),
        "ratios": {engine: _spread(found.ratios(contestant, base)) for engine, base in baselines.items()},
        "load_seconds": model.get("load_seconds"),
        "peak_bytes": model.get("peak_bytes", {}).get(str(contestant.batch)),
        "rounds": [asdict(timing) for timing in timings],
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def _settings_facts(settings: Settings) -> dict:
    names = ("TEMPERATURE", "TOP_P", "TOP_K", "MIN_P", "REPETITION_PENALTY")
    return {
        **asdict(settings),
        "parameters": settings.shape.parameters,
        "sampling": {
            PRESAMPLE: asdict(ours.SAMPLING),
            "peers": {name.lower(): getattr(peers, name) for name in names},
        },
    }


def facts_of_machine(device: str) -> dict:
    """Returns what a number needs beside it to mean something; `load_average` is that of the last minute."""
    facts = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
    }
    packages = {"torch": "torch", "transformers": "transformers", "llama_cpp": "llama-cpp-python"}
    return facts | {name: _package_version(package) for name, package in packages.items()}


def processor() -> str:
    """Returns the processor's name, as the system tells it."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _package_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
