"""A file of prompts expanded into a folder of results, here, by worker processes or on a cluster.

Convention: an engine expands the parts it is given and hands over what it finds in lots; this process alone
writes, so an engine may be killed at any moment and lose nothing that was handed over.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...files import alone, fingerprint
from ...hub import resolve, search_folders
from ...lm.checkpoint import choose_precision, find_device
from ..expand import load_tipo
from ..expander import Tipo
from .folder import Results
from .lines import Listing, Part, Rules, Source, list_parts
from .stream import Found, Stream

VERSION = 1  # of the results
LOT_SECONDS = 0.3  # what is found is handed over so often

Todo = Iterable[tuple[Part, frozenset[int]]]
OnLot = Callable[[Sequence[Found]], None]
Engine = Callable[["Job", Todo, OnLot], None]
"""Expands parts, but for the records done already, and hands over what it finds."""


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know, wherever it runs."""

    source: Source
    rules: Rules
    folders: tuple[Path, ...] = ()
    base: Path | None = None
    device: str = "auto"
    precision: str = "auto"

    def load(self) -> Tipo:
        """Returns the model."""
        where = {"folders": self.folders, "base": self.base}
        return load_tipo(self.rules.options.model, device=self.device, precision=self.precision, **where)

    def settings(self, listing: Listing) -> dict[str, Any]:
        """Returns what decides the results: all but how many are decoded together, and where."""
        path = resolve(self.rules.options.model, search_folders(self.folders, base=self.base))
        rules = {name: value for name, value in asdict(self.rules).items() if name != "rows"}
        precision = self.precision
        return {
            "version": VERSION,
            "input": {"bytes": listing.bytes, "sha256": listing.sha256, "format": listing.source.format},
            "part": listing.parts[0].count if len(listing.parts) == 1 else listing.parts[1].first,
            "model": fingerprint(path),
            "precision": choose_precision(find_device(self.device)) if precision == "auto" else precision,
            **rules,
        }


class Lots:
    """Gathers what is found for a moment."""

    def __init__(self, on_lot: OnLot, seconds: float = LOT_SECONDS):
        self.on_lot, self.seconds = on_lot, seconds
        self.found: list[Found] = []
        self.since = time.monotonic()

    def add(self, found: Found) -> None:
        self.found.append(found)
        if time.monotonic() - self.since >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Hands over what there is."""
        if self.found:
            self.on_lot(self.found)
        self.found, self.since = [], time.monotonic()


def here(job: Job, todo: Todo, on_lot: OnLot) -> None:
    """The engine that expands in this process."""
    expand_parts(job, job.load(), todo, on_lot)


def expand_parts(job: Job, tipo: Tipo, todo: Todo, on_lot: OnLot) -> None:
    """Expands parts with a model that is there."""
    lots = Lots(on_lot)
    try:
        Stream(job.source, tipo, job.rules).run(todo, lots.add)
    finally:  # what is found stays found, also where somebody stops it
        lots.flush()


@dataclass
class Summary:
    """What a run did: `facts` are those of the whole folder, the rest of this run alone."""

    facts: dict[str, Any]
    records: int = 0
    tokens: int = 0
    seconds: float = 0.0
    unused: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """Returns the summary for people."""
        said = [f"{self.facts['expanded']:,} of {self.facts['records']:,} prompts expanded"]
        if self.seconds and self.records:
            rate, tokens = self.records / self.seconds, self.tokens / self.seconds
            said.append(
                f"{self.records:,} of them in this run of {self.seconds:,.0f} s: {rate:,.1f} prompts and"
                f" {tokens:,.0f} tokens a second"
            )
        if self.facts["errors"]:
            said.append(f"{self.facts['errors']:,} lines with errors, see errors.jsonl:")
            said += [f"  {count:,} × {why}" for why, count in list(self.facts["reasons"].items())[:5]]
        if self.unused:
            names = ", ".join(f"{name} ({count:,})" for name, count in self.unused.most_common(10))
            said.append(f"fields that are no options and were not used: {names}")
        return said


def expand_file(
    path: Path,
    output: Path,
    rules: Rules,
    *,
    format: str = "auto",
    part: int = 512,
    engine: Engine = here,
    **model: Any,
) -> Summary:
    """Expands a file of prompts into a folder and returns what was done; goes on with one that was begun.

    `model` are the fields of Job that say where the model is and runs. Raises ValueError where the folder was
    made of another file or with other options, or another program is at work in it.
    """
    rules.check()
    listing = list_parts(path, format=format, part=part)
    job = Job(listing.source, rules, **model)
    settings = job.settings(listing)
    output.mkdir(parents=True, exist_ok=True)
    results = Results(output, listing)
    with alone(output):
        results.open(settings)
        try:
            summary = _run(job, results, engine)
        finally:
            results.close()
        summary.facts = results.report()
    return summary


def _run(job: Job, results: Results, engine: Engine) -> Summary:
    from tqdm import tqdm

    todo = results.missing()
    summary, start = Summary({}), time.perf_counter()
    left = sum(part.count for part in todo)
    total = results.listing.records
    with tqdm(total=total, initial=total - left, desc="expanding", unit="prompt", smoothing=0.1) as bar:

        def begun() -> Iterator[tuple[Part, frozenset[int]]]:
            for part in todo:
                done = results.begin(part)
                bar.n, bar.initial = bar.n + len(done), bar.initial + len(done)  # not of this run's speed
                if len(done) < part.count:
                    yield part, done

        def on_lot(lot: Sequence[Found]) -> None:
            results.take(lot)
            summary.records += len(lot)
            summary.tokens += sum(found.tokens for found in lot)
            summary.unused.update(name for found in lot for name in found.unused)
            bar.update(len(lot))

        if todo:
            engine(job, begun(), on_lot)
    summary.seconds = time.perf_counter() - start
    return summary
