"""What a model costs by itself, in a process that does nothing else: loading, its first token, peak memory.

`measure` runs in that process; `summary` puts several of its runs together. Memory is the high-water mark of
the resident set, in which pages of a mapped file count; on a GPU it is what torch's allocator held at most.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from .contestants import PRESAMPLE, TRANSFORMERS, Contestant, Model, Unavailable
from .engines import open_writer
from .files import Files
from .lm import Settings, run


def measure(model: Model, files: Files, settings: Settings, *, batches: Sequence[int]) -> dict:
    """Returns the facts of one fresh process; raises Unavailable where the model cannot run here.

    Batches run from small to large, so that the mark after each is that batch's own.
    """
    imported = _import_engine(model)
    before = resident_bytes()
    begin = time.perf_counter()
    writer = open_writer(model, files, device=settings.device, threads=settings.threads)
    loaded = time.perf_counter()
    run(Contestant(model), writer, settings, turn=0, new_tokens=1)
    first = time.perf_counter()
    peaks = {}
    for batch in sorted(batches):
        run(Contestant(model, batch), writer, settings, turn=0)
        peaks[str(batch)] = peak_bytes(settings.device, model)
    return {
        "import_seconds": imported,
        "load_seconds": loaded - begin,
        "first_answer_seconds": first - loaded,
        "before_bytes": before,
        "peak_bytes": peaks,
    }


def _import_engine(model: Model) -> float:
    """Returns how long the engine's packages took to import, above torch, which is there already."""
    begin = time.perf_counter()
    try:
        if model.engine == PRESAMPLE:
            from ..lm import decode  # noqa: F401
        elif model.engine == TRANSFORMERS:
            from transformers import AutoTokenizer, GenerationConfig, LlamaForCausalLM  # noqa: F401
        else:
            import llama_cpp  # noqa: F401
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise Unavailable(f"{model.engine} cannot be imported: {error}") from error
    return time.perf_counter() - begin


def summary(runs: Sequence[dict]) -> dict:
    """Returns the medians of several runs of `measure`."""

    def middle(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    plain = ("import_seconds", "load_seconds", "first_answer_seconds", "before_bytes")
    facts = {name: middle([each[name] for each in runs]) for name in plain}
    batches = dict.fromkeys(batch for each in runs for batch in each["peak_bytes"])
    facts["peak_bytes"] = {
        batch: middle([each["peak_bytes"].get(batch) for each in runs]) for batch in batches
    }
    return {**facts, "load_rounds": [each["load_seconds"] for each in runs]}


def read_once(files: Files) -> None:
    """Reads every file, so that all of them are in the page cache when loading is timed."""
    for path in files.written():
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass


def peak_bytes(device: str, model: Model) -> int | None:
    """Returns the most memory this process had; None where it cannot be told, as llama.cpp's on a GPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) if model.engine in (PRESAMPLE, TRANSFORMERS) else None
    mark = _status("VmHWM")  # unlike getrusage's, it begins anew with the program
    if mark is not None or sys.platform == "win32":
        return mark
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def resident_bytes() -> int | None:
    """Returns how much memory this process has now; None where the system does not tell."""
    return _status("VmRSS")


def _status(name: str) -> int | None:
    listing = Path("/proc/self/status")
    if not listing.is_file():
        return None
    for line in listing.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return None
