"""Many requests as a stream: a place in the batch that comes free is taken by the next of them at once.

What a request becomes depends on the request alone, as in `expand`: neither on those beside it nor on their
number nor on their order.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..expand import TOGETHER
from ..expander import Expander, Hooks, Tipo
from ..expansion import Expansion, ShouldStop
from ..writer import Work, Writer
from .lines import Asked, Part, Problem, Record, Rules, Source, ask, is_id, read_part

AHEAD = 4096  # records that wait for a batch with their own sampling, at most


@dataclass(frozen=True)
class Found:
    """What became of a record: lines of JSON, of results or of an error; tokens drawn; fields not used."""

    part: int
    index: int
    text: str
    error: bool = False
    tokens: int = 0
    unused: tuple[str, ...] = ()


OnFound = Callable[[Found], None]


class Stream:
    """Expands records of one source as they come."""

    def __init__(self, source: Source, tipo: Tipo, rules: Rules, should_stop: ShouldStop | None = None):
        self.source, self.tipo, self.rules = source, tipo, rules
        self.hooks = Hooks(None, should_stop)
        self.waiting: dict[tuple, deque[tuple[Part, Asked]]] = {}

    def run(self, parts: Iterable[tuple[Part, frozenset[int]]], on_found: OnFound) -> None:
        """Expands the records of parts but for those done already, and tells what becomes of each.

        A part is asked for when its records are needed.
        """
        records = self._records(parts, on_found)
        while alike := self._most() or self._next(records):
            size = max(self.rules.rows // self.rules.count, 1) * self.rules.count
            options = self.waiting[alike][0][1].request.options
            writer = Writer(self.tipo.language, options, size, self.hooks.should_stop)
            writer.run(self._runs(alike, records, on_found))

    def _records(self, parts, on_found: OnFound) -> Iterator[tuple[Part, Asked]]:
        """Yields the records that can be expanded; tells of the others."""
        for part, done in parts:
            for record in read_part(self.source, part):
                if record.index in done:
                    continue
                try:
                    asked = ask(record, self.rules)
                except ValueError as error:
                    on_found(_problem(part, record, str(error)))
                else:
                    yield part, asked

    def _next(self, records: Iterator[tuple[Part, Asked]]) -> tuple | None:
        """Puts the next record with those it can be decoded with; returns what these have in common."""
        for part, asked in records:
            alike = tuple(getattr(asked.request.options, name) for name in TOGETHER)
            self.waiting.setdefault(alike, deque()).append((part, asked))
            return alike
        return None

    def _most(self) -> tuple | None:
        return max(self.waiting, key=lambda alike: len(self.waiting[alike]), default=None)

    def _runs(self, alike: tuple, records, on_found: OnFound) -> Iterator[Iterator[Work]]:
        """Yields the runs of records that can be decoded together; the others wait."""
        while True:
            mine = self.waiting.pop(alike, None)
            while mine:
                part, asked = mine.popleft()
                if run := self._run(part, asked, on_found):
                    yield run
            if sum(map(len, self.waiting.values())) >= AHEAD or not self._next(records):
                return

    def _run(self, part: Part, asked: Asked, on_found: OnFound) -> Iterator[Work] | None:
        try:
            expander = Expander(asked.request, self.rules.count, self.tipo, self.hooks)
        except ValueError as error:
            on_found(_problem(part, asked.record, str(error), asked))
            return None
        return self._told(part, asked, expander, on_found)

    def _told(self, part: Part, asked: Asked, expander: Expander, on_found: OnFound) -> Iterator[Work]:
        """Yields the works of an expansion and in the end tells of it."""
        try:
            yield from expander.run()
        except ValueError as error:  # one record less must not be all of them
            on_found(_problem(part, asked.record, str(error), asked))
            return
        records = (
            _result(asked, number, expansion, self.rules) for number, expansion in enumerate(expander.found)
        )
        text = "".join(map(_json, records))
        tokens = sum(report.tokens for report in expander.reports)
        on_found(Found(part.number, asked.record.index, text, False, tokens, asked.unused))


def _result(asked: Asked, number: int, expansion: Expansion, rules: Rules) -> dict:
    """What is told of an expansion: nothing that differs from run to run, such as seconds."""
    told = {"line": asked.record.line}
    if asked.id is not None:
        told["id"] = asked.id
    if rules.count > 1:
        told["variation"] = number
    if rules.full:
        facts = expansion.as_dict()
        return told | {name: fact for name, fact in facts.items() if name not in ("passes", "seconds")}
    told |= {"seed": expansion.seed, "original": expansion.original, "prompt": expansion.prompt}
    told |= {"tags": expansion.tags, "prose": expansion.prose}
    return told | ({"notes": expansion.notes} if expansion.notes else {})


def _problem(part: Part, record: Record, why: str, asked: Asked | None = None) -> Found:
    told: dict = {"line": record.line}
    number = None if isinstance(record.fields, Problem) else record.fields.get("id")
    if is_id(number):
        told["id"] = number
    unused = asked.unused if asked else ()
    return Found(part.number, record.index, _json({**told, "error": why}), True, unused=unused)


def _json(record: dict) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
