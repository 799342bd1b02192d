"""The log of a training: one JSON object a line, for programs and for plots.

A line of steps has `step`, `loss` and its parts, `lr`, `grad_norm` (all means since the line before),
`skipped` (steps so far), `samples_per_second` and `seconds`; a line with `event` tells of one step.
"""

import json
import math
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path


class Journal:
    """Writes to `path`, where it is given; lines after step `first`, of a run that was cut off, go."""

    def __init__(self, path: Path | None, *, first: int) -> None:
        self.path = path
        self._begun = self._since = time.perf_counter()
        self._samples = 0
        self._sums: dict[str, list[float]] = defaultdict(list)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_text(encoding="utf-8").splitlines() if first and path.exists() else []
            kept = [line for line in lines if _step(line) <= first]
            path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def count(self, samples: int, facts: Mapping[str, float]) -> None:
        """Takes in one step."""
        self._samples += samples
        for name, value in facts.items():
            if math.isfinite(value):
                self._sums[name].append(value)

    def line(self, step: int, **more) -> None:
        """Writes what the steps since the last line were on average."""
        now = time.perf_counter()
        facts = {name: sum(values) / len(values) for name, values in self._sums.items()}
        facts["samples_per_second"] = round(self._samples / max(1e-9, now - self._since), 2)
        self.write(step, **facts, **more, seconds=round(now - self._begun, 1))
        self._since, self._samples = now, 0
        self._sums.clear()

    def write(self, step: int, **facts) -> None:
        """Writes one line."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **facts}) + "\n")


def _step(line: str) -> float:
    """The step of a line; of one that was cut off in the middle, none that is kept."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return math.inf
