"""The folder of results: a file for every part that is done, and a journal for one that is begun.

Convention: `000000.jsonl` has the results of part 0 in the order of its records, `errors/000000.jsonl` its
errors; both are moved in whole, the errors first, so a part whose results are there is done. Until then
`000000.journal` has a line for each record that is finished, in any order: who kills the program loses
what was being decoded and no more. One process writes.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ...files import check_same, open_text, write_json, write_text, written
from .lines import Listing, Part
from .stream import Found

SETTINGS, REPORT, ERRORS = "settings.json", "report.json", "errors.jsonl"


@dataclass
class Begun:
    """A part being expanded: what is found by record, and its journal once there is something to put down."""

    part: Part
    found: dict[int, tuple[bool, str]]
    journal: TextIO | None = None


@dataclass
class Results:
    """The folder of results of one file of prompts; `open` before anything else."""

    path: Path
    listing: Listing
    begun: dict[int, Begun] = field(default_factory=dict)

    def open(self, settings: Mapping[str, Any]) -> None:
        """Makes the folder for these settings; clears away what a killed program left of finished parts.

        Raises:
            ValueError: it was made with other settings, or holds something else.
        """
        if (self.path / SETTINGS).is_file():
            check_same(self.path / SETTINGS, settings)
        elif {*self.path.iterdir()} - {self.path / ".lock", *self.path.glob(f"{SETTINGS}.*.part")}:
            raise ValueError(
                f"{self.path} must be a new or empty folder, or one to go on with; choose another one"
            )
        else:
            write_json(self.path / SETTINGS, dict(settings))
        (self.path / "errors").mkdir(exist_ok=True)
        for part in self.listing.parts:
            if self.journal(part.number).exists() and self.file(part.number).exists():
                self.journal(part.number).unlink()

    def file(self, part: int) -> Path:
        return self.path / f"{part:06d}.jsonl"

    def journal(self, part: int) -> Path:
        return self.path / f"{part:06d}.journal"

    def errors(self, part: int) -> Path:
        return self.path / "errors" / f"{part:06d}.jsonl"

    def missing(self) -> list[Part]:
        """Returns the parts that are not done."""
        there = {entry.name for entry in os.scandir(self.path)}
        return [part for part in self.listing.parts if self.file(part.number).name not in there]

    def begin(self, part: Part) -> frozenset[int]:
        """Begins a part, or goes on with it; returns the records that are done."""
        found = self._journaled(part)
        if len(found) == part.count:
            self._finish(part, found)
        else:
            self.begun[part.number] = Begun(part, found)
        return frozenset(found)

    def _journaled(self, part: Part) -> dict[int, tuple[bool, str]]:
        """Returns what a journal has; the last line is cut off where it was not written to its end."""
        path = self.journal(part.number)
        if not path.exists():
            return {}
        text = path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:
            os.truncate(path, len(whole))
        lines = (json.loads(line) for line in whole.decode("utf-8").split("\n")[:-1])
        return {index: (error, text) for index, error, text in lines}

    def take(self, found: Iterable[Found]) -> None:
        """Puts down what was found, and finishes parts of which all is."""
        lots: dict[int, list[Found]] = {}
        for each in found:
            lots.setdefault(each.part, []).append(each)
        for number, lot in lots.items():
            begun = self.begun[number]
            begun.found.update({each.index: (each.error, each.text) for each in lot})
            if len(begun.found) < begun.part.count:
                self._put_down(begun, lot)
            else:
                del self.begun[number]
                if begun.journal:
                    begun.journal.close()
                self._finish(begun.part, begun.found)

    def _put_down(self, begun: Begun, lot: Sequence[Found]) -> None:
        if begun.journal is None:
            path = self.journal(begun.part.number)
            begun.journal = open(path, "a", encoding="utf-8", newline="\n")  # noqa: SIM115
        begun.journal.writelines(json.dumps([each.index, each.error, each.text]) + "\n" for each in lot)
        begun.journal.flush()

    def _finish(self, part: Part, found: Mapping[int, tuple[bool, str]]) -> None:
        ordered = [found[index] for index in sorted(found)]
        if errors := "".join(text for error, text in ordered if error):
            write_text(self.errors(part.number), errors)
        write_text(self.file(part.number), "".join(text for error, text in ordered if not error))
        self.journal(part.number).unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the journals of parts that are not done."""
        for begun in self.begun.values():
            if begun.journal:
                begun.journal.close()
        self.begun.clear()

    def report(self) -> dict[str, Any]:
        """Returns how many records were expanded and why others were not; gathers the errors in one file.

        Counts are read off the files, so they are right after any interruption.
        """
        reasons: Counter[str] = Counter()
        with written(self.path / ERRORS) as half, open_text(half) as gathered:
            for part in self.listing.parts:
                if not self.errors(part.number).exists():
                    continue
                with open(self.errors(part.number), encoding="utf-8") as errors:
                    for line in errors:
                        reasons[json.loads(line)["error"]] += 1
                        gathered.write(line)
        failed = sum(reasons.values())
        facts = {
            "input": str(self.listing.source.path),
            "records": self.listing.records,
            "expanded": self.listing.records - failed,
            "errors": failed,
            "reasons": dict(reasons.most_common(20)),
        }
        write_json(self.path / REPORT, facts)
        return facts
