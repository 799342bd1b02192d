"""A file of prompts expanded in bulk, by one worker and by several, beside one prompt after the other.

Convention: a Worker measures what runs in its own process; who has the processes lets them begin together.
Seconds are those on the clock, `cpu` those of the processor: on a machine with other work the second kind
says more. Every way is asked for the same texts, which is checked.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..lm.checkpoint import load_language_model
from ..tipo.bulk.lines import Rules, ask, list_parts, read_part
from ..tipo.bulk.stream import Found, Stream
from ..tipo.expand import expand, load_tipo
from ..tipo.expander import Tipo
from ..tipo.options import ExpandOptions
from .jobs import UNTRAINED, untrained

WORDS = (
    *("lake", "mountain", "forest", "night", "sunset", "snow", "boat", "castle", "moon", "1girl", "city"),
    *("rain", "flower", "field", "beach", "autumn", "bird", "cloud", "river", "A girl stands by the water."),
)
PART = 16


@dataclass(frozen=True)
class Setup:
    """What is expanded: a known model, or a folder of random weights, and how many rows together."""

    model: str = "tipo-tiny"
    weights: Path | None = None
    rows: int = 64

    def load(self) -> Tipo:
        """Returns the model, on the processor."""
        if self.weights is None:
            return load_tipo(self.model, device="cpu")
        return untrained(load_language_model(self.weights, device="cpu"))

    @property
    def rules(self) -> Rules:
        options = {} if self.weights is None else UNTRAINED
        return Rules(ExpandOptions(**options), rows=self.rows)


@dataclass(frozen=True)
class Timing:
    """What `prompts` prompts took; `digests` tell their texts by the number of the prompt."""

    prompts: int
    seconds: float
    cpu: float
    tokens: int
    digests: Mapping[int, str]


@dataclass(frozen=True)
class Way:
    """A way of expanding: its name, threads of each process, and processes; `bulk` or one after the other."""

    name: str
    threads: int
    workers: int = 1
    bulk: bool = True


def ways(workers: Sequence[int], cores: int, threads: Sequence[int]) -> list[Way]:
    """Returns the ways to compare: one after the other with so many `threads`, and in bulk on all cores."""
    alone = [Way(f"one by one, threads {n}", n, bulk=False) for n in threads]
    bulk = [Way(f"bulk, workers {n}, threads {max(cores // n, 1)}", max(cores // n, 1), n) for n in workers]
    return alone + bulk


def write_prompts(path: Path, count: int) -> None:
    """Writes `count` different prompts: one to three words of a small world."""
    sets = itertools.chain.from_iterable(itertools.combinations(WORDS, n) for n in (3, 2, 1))
    chosen = itertools.islice(itertools.cycle(sets), count)
    path.write_text("".join(json.dumps({"prompt": ", ".join(words)}) + "\n" for words in chosen), "utf-8")


class Worker:
    """Expands shares of a file of prompts in this process, and says what that took."""

    def __init__(self, setup: Setup, path: Path):
        self.setup, self.tipo = setup, setup.load()
        self.listing = list_parts(path, part=PART)
        self.bulk(self.listing.parts[:1])

    def one_by_one(self, count: int) -> Timing:
        """Expands the first prompts of the file, one after the other."""
        rules = self.setup.rules
        records = (record for part in self.listing.parts for record in read_part(self.listing.source, part))
        asked = [ask(record, rules).request for record in itertools.islice(records, count)]
        with _Clock() as clock:
            found = [expand(request, self.tipo) for request in asked]
        tokens = sum(report.tokens for each in found for report in each.passes)
        return clock.timing(tokens, {n: _digest(each.prompt) for n, each in enumerate(found)})

    def bulk(self, parts: Sequence) -> Timing:
        """Expands parts of the file as a stream."""
        found: list[Found] = []
        stream = Stream(self.listing.source, self.tipo, self.setup.rules)
        with _Clock() as clock:
            stream.run([(part, frozenset()) for part in parts], found.append)
        texts = {each.index: _digest(json.loads(each.text)["prompt"]) for each in found}
        return clock.timing(sum(each.tokens for each in found), texts)

    def share(self, number: int, of: int) -> Timing:
        """Expands every so many parts of the file."""
        return self.bulk(self.listing.parts[number::of])


class _Clock:
    def __enter__(self) -> _Clock:
        self.begun = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *reason) -> None:
        self.seconds, self.cpu = time.perf_counter() - self.begun[0], time.process_time() - self.begun[1]

    def timing(self, tokens: int, digests: dict[int, str]) -> Timing:
        return Timing(len(digests), self.seconds, self.cpu, tokens, digests)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def together(timings: Sequence[Timing]) -> Timing:
    """Returns the timing of processes that ran at once: the clock of the last, the sum of all else."""
    first, *others = timings
    for other in others:
        first = replace(
            first,
            prompts=first.prompts + other.prompts,
            seconds=max(first.seconds, other.seconds),
            cpu=first.cpu + other.cpu,
            tokens=first.tokens + other.tokens,
            digests={**first.digests, **other.digests},
        )
    return first


def report(rounds: Sequence[Mapping[Way, Timing]], cores: int) -> list[dict]:
    """Returns a row for each way: medians over the rounds, and of the rounds' own ratios to the best single.

    `faster` is by the clock; `faster_by_cpu` by the processor's time, as if no other program had any of it.
    Raises ValueError where two ways did not write the same.
    """

    def by_clock(way: Way, timing: Timing) -> float:
        return timing.prompts / timing.seconds

    def by_cpu(way: Way, timing: Timing) -> float:
        return min(way.threads * way.workers, cores) * timing.prompts / timing.cpu

    for taken in rounds:
        _check(list(taken.values()))
    rows = []
    for way in rounds[0]:
        timings = [taken[way] for taken in rounds]
        rows.append(
            {
                **asdict(way),
                "prompts": timings[0].prompts,
                "prompts_per_second": statistics.median(by_clock(way, t) for t in timings),
                "tokens_per_second": statistics.median(t.tokens / t.seconds for t in timings),
                "cpu_seconds_per_prompt": statistics.median(t.cpu / t.prompts for t in timings),
                "faster": statistics.median(_ratio(way, taken, by_clock) for taken in rounds),
                "faster_by_cpu": statistics.median(_ratio(way, taken, by_cpu) for taken in rounds),
            }
        )
    return rows


def _ratio(way: Way, taken: Mapping[Way, Timing], rate: Callable[[Way, Timing], float]) -> float:
    """Returns how many times as fast as the fastest of the single ways one is, in one round."""
    return rate(way, taken[way]) / max(rate(one, timing) for one, timing in taken.items() if not one.bulk)


def _check(timings: Sequence[Timing]) -> None:
    for one, other in itertools.pairwise(timings):
        if any(one.digests[n] != other.digests[n] for n in set(one.digests) & set(other.digests)):
            raise ValueError("texts written in bulk must be those written alone, and they are not")


def table(rows: Sequence[Mapping]) -> str:
    """Returns the rows in Markdown."""
    return "\n".join(_lines(rows))


def _lines(rows: Sequence[Mapping]) -> Iterator[str]:
    yield "| way | prompts | prompts/s | tokens/s | CPU ms a prompt | faster | by CPU time |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        yield (
            f"| {row['name']} | {row['prompts']} | {row['prompts_per_second']:.1f}"
            f" | {row['tokens_per_second']:.0f} | {1000 * row['cpu_seconds_per_prompt']:.1f}"
            f" | {row['faster']:.1f} x | {row['faster_by_cpu']:.1f} x |"
        )
