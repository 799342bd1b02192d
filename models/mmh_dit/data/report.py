"""Says what became of all items: how many each step kept, and why the others were left out.

Convention: counts are read off the files of the steps, so they are right after any interruption;
`left_out.jsonl` names every item that is out, with the step and the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...files import open_text, read_json, write_json, written
from .selection import (
    DEDUP,
    DEDUP_FACTS,
    DUPLICATE,
    EMBEDDINGS,
    LOW,
    SCORES,
    SELECT,
    SELECT_FACTS,
    TAGS,
    Selection,
)
from .work import Folder, Work

REPORT, LEFT_OUT = "report.json", "left_out.jsonl"


@dataclass(frozen=True)
class Line:
    """What one step did: how many items it kept, how many it left out by reason, and what else it says."""

    step: str
    kept: int
    left_out: dict[str, int]
    finished: bool = True
    facts: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns what report.json has of the step."""
        told = {"step": self.step, "kept": self.kept, "left_out": self.left_out, "finished": self.finished}
        return told | (self.facts or {})


def report(work: Work) -> list[Line]:
    """Returns a line for every step of a work folder, and writes report.json and left_out.jsonl."""
    lines = [Line("scan", work.count, dict(work.facts["left_out"]))]
    with written(work.folder / LEFT_OUT) as half, open_text(half) as names:
        for step, folder in _folders(work):
            lines.append(_step(work, step, folder, names))
        if (work.folder / DEDUP_FACTS).is_file():
            lines.append(_dedup(work, names))
        if (work.folder / SELECT).is_file():
            lines.append(_select(work, names))
    lines.sort(key=lambda line: _ORDER.index(line.step.split("/")[0]))
    write_json(
        work.folder / REPORT, {"sources": work.facts["sources"], "steps": [x.as_dict() for x in lines]}
    )
    return lines


_ORDER = ("scan", EMBEDDINGS, "dedup", SCORES, "select", "texts", "latents")


def _folders(work: Work) -> Iterator[tuple[str, Folder]]:
    for name in (EMBEDDINGS, SCORES, "texts"):
        if (work.folder / name / "settings.json").is_file():
            yield name, Folder(work.folder / name)
    for path in sorted((work.folder / "latents").glob("*/settings.json")):
        yield f"latents/{path.parent.name}", Folder(path.parent)


def _step(work: Work, step: str, folder: Folder, names) -> Line:
    out: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    seen = 0
    missing = set(folder.missing(work.parts))
    for part in work.parts:
        if part in missing:
            continue
        facts, left_out = folder.told(part)
        seen += len(work.items(part))
        sizes.update({size: len(rows.split("\n")) for size, rows in facts.get("rows", {}).items()})
        for why, keys in left_out.items():
            out[why] += len(keys)
            _name(names, step, why, keys)
    kept = seen - sum(out.values())
    facts = {"sizes": dict(sorted(sizes.items()))} if sizes else {}
    if step == SCORES and not missing and (work.folder / TAGS).is_file():
        facts, low = _tags(work, names)
        out, kept = out + Counter({LOW: low} if low else {}), kept - low
    return Line(step, kept, dict(out), not missing, facts)


def _tags(work: Work, names) -> tuple[dict[str, Any], int]:
    """How many pictures have which tag, and how many score too low."""
    counts: Counter[str] = Counter()
    low = 0
    selection = Selection(work)
    for part in work.parts:
        items, tags = work.items(part), selection.tags(part)
        dropped = [items[place].key for place, tag in tags.items() if tag is None]
        low += len(dropped)
        _name(names, SCORES, LOW, dropped)
        counts.update(tag for tag in tags.values() if tag)
    return {"tags": dict(counts)}, low


def _dedup(work: Work, names) -> Line:
    from safetensors import safe_open

    facts = read_json(work.folder / DEDUP_FACTS)
    with safe_open(work.folder / DEDUP, "pt") as file:
        stands_for = file.get_tensor("stands_for")
    removed = 0
    for part in work.parts:
        first = part * work.part_length
        for place, item in enumerate(work.items(part)):
            if stands_for[first + place] != first + place:
                removed += 1
                _name(names, "dedup", DUPLICATE, [item.key])
    kept = facts["rounds"][0]["before"] - removed  # of those that could be embedded
    return Line("dedup", kept, {DUPLICATE: removed} if removed else {}, True, facts)


def _select(work: Work, names) -> Line:
    """How many of what was left were chosen, by category."""
    out: Counter[str] = Counter()
    facts, selection = read_json(work.folder / SELECT_FACTS), Selection(work)
    for part in work.parts:
        items = work.items(part)
        for place, why in selection.unchosen(part).items():
            out[why] += 1
            _name(names, "select", why, [items[place].key])
    shown = {name or "(no category)": count for name, count in facts["categories"].items()}
    return Line("select", sum(shown.values()), dict(out), True, {"categories": shown})


def _name(names, step: str, why: str, keys: list[str]) -> None:
    for key in keys:
        names.write(json.dumps({"step": step, "key": key, "why": why}, ensure_ascii=False) + "\n")


def table(lines: list[Line]) -> str:
    """Returns the lines as a table for people."""
    rows = [("step", "kept", "left out", "why")]
    for line in lines:
        reasons = sorted(line.left_out.items(), key=lambda pair: -pair[1])
        name = line.step if line.finished else f"{line.step} (not finished)"
        rows.append((name, f"{line.kept:,}", f"{sum(line.left_out.values()):,}", ""))
        rows += [("", "", f"{count:,}", why) for why, count in reasons]
        for kind in ("tags", "sizes", "categories"):
            rows += [("", f"{n:,}", "", what) for what, n in (line.facts or {}).get(kind, {}).items()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows
    )
