"""The page of claims: Markdown and pictures made of records, nothing else.

Convention: records lie in `<docs>/claims/*.json`, pictures beside them, the page is `<docs>/claims.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from . import plots
from .experiment import Experiment
from .judgement import LEAST_SEEDS, OPEN, Check, Table
from .record import Record, read

FOLDER, PAGE = "claims", "claims.md"
SYSTEMS = {
    "tipo": "TIPO",
    "icfm": "oboro",
    "mmh": "oboro",
    "data": "oboro",
    "textcraftor": "TextCraftor",
    "playground": "Playground v2.5",
}

BEGIN = """\
# Claims, tried at toy size

The four systems in this repository were published with claims. Here the mechanisms behind them are tried
on worlds so small that the truth is known. A toy result is not a replication of a published number: it
says whether the mechanism shows; a claim that fails here may hold at full size, and the other way round.
Failures are printed as failures.

This page is made from the records in [`claims/`](claims/), which hold every number of every seed:

```
pip install -e '.[train,data,bench]'
presample eval claims all                     # every experiment, then this page
presample eval claims all --workers 16        # sixteen cells at once
presample eval claims {example} --seeds 0,1   # one experiment, two of its seeds; a later run adds others
presample eval claims --list                  # names, and how long they take
presample eval claims report                  # the page again, from the records
```

A run that is stopped goes on where it was: every cell, one arm at one seed, is kept in `out/claims`;
remove that folder to measure anew. Thresholds stand in the code before a run (`models/claims/`), and stay;
where a control failed, a model was trained for longer and everything was run anew. Intervals are 95 %
percentile bootstraps over seeds; differences are paired by seed.
*Holds* means that every criterion is met, at five seeds or more; *does not hold* that one is not;
*undecided* that there are fewer seeds, or that a control failed. Minutes are of processor time, on one
thread.
"""

END = """\
## What cannot be tried here

- The published numbers themselves: Fréchet distances, aesthetic scores and people's preferences at full size
  need the published weights and pictures. `presample eval` has metrics and protocols for whoever has them.
- People's preference for Playground v2.5 over other models, and its third insight, fine-tuning on what people
  like.
- oboro's efficiency in data and compute against SD 1.5 and SDXL.
- MJHQ-30K, and whether a tuned text encoder serves other U-Nets.
"""


def records(docs: Path) -> list[Record]:
    """Returns all records, by name."""
    return [read(path) for path in sorted((docs / FOLDER).glob("*.json"))]


def publish(docs: Path, experiments: Sequence[Experiment]) -> Path:
    """Writes the page and its pictures from the records there, in the order of the experiments."""
    found = {record.name: record for record in records(docs)}
    for record in found.values():
        if record.judgement.panels:
            plots.draw(record.judgement.panels, docs / FOLDER / f"{record.name}.png")
    path = docs / PAGE
    path.write_text(page(found.values(), experiments), encoding="utf-8")
    return path


def page(found: Iterable[Record], experiments: Sequence[Experiment]) -> str:
    """Returns the page in Markdown."""
    by_name = {record.name: record for record in found}
    order = [by_name[e.name] for e in experiments if e.name in by_name]
    waiting = [e for e in experiments if e.name not in by_name]
    parts = [BEGIN.format(example=experiments[0].name), _summary(order, waiting)]
    parts += [_section(record) for record in order]
    return "\n".join([*parts, END])


def _summary(order: Sequence[Record], waiting: Sequence[Experiment]) -> str:
    rows = ["| system | claim | verdict | seeds | minutes |", "|---|---|---|---:|---:|"]
    for record in order:
        words = "not run" if record.skipped else f"**{record.verdict}**"
        link = f"[{record.title}](#{_anchor(record.title)})"
        rows.append(f"| {_system(record)} | {link} | {words} | {len(record.seeds)} | {_minutes(record)} |")
    for each in waiting:
        minutes = len(each.cells(range(LEAST_SEEDS))) * each.minutes
        rows.append(f"| {_system(each)} | {each.title} | not run | 0 | some {minutes:,.0f} |")
    return "\n".join([*rows, ""])


def _system(found: Record | Experiment) -> str:
    return SYSTEMS.get(found.group, found.group)


def _section(record: Record) -> str:
    lines = [f"## {record.title}", "", f"*Claim.* {record.claim}", ""]
    if record.skipped:
        return "\n".join([*lines, record.how, "", f"**Not run:** {record.skipped}", ""])
    lines += [f"**{record.verdict.capitalize()}** at toy size{_why(record)}.", "", record.how, ""]
    lines += [*_checks(record.judgement.checks), ""]
    if record.judgement.panels:
        lines += [f"![{record.title}]({FOLDER}/{record.name}.png)", ""]
    for table in record.judgement.tables:
        lines += [*_table(table), ""]
    lines += [f"- {note}" for note in record.judgement.notes] + [""] * bool(record.judgement.notes)
    seeds = f"{len(record.seeds)} seeds" if len(record.seeds) != 1 else "one seed"
    lines += [
        f"`{record.command}` · {seeds} · {_minutes(record)} minutes · {record.machine} · {record.date} · "
        f"[every number]({FOLDER}/{record.name}.json)",
        "",
    ]
    return "\n".join(lines)


def _why(record: Record) -> str:
    if record.verdict != OPEN:
        return ""
    failed = [check.what for check in record.judgement.checks if check.control and not check.met]
    return f": a control failed ({', '.join(failed)})" if failed else f": {len(record.seeds)} of 5 seeds"


def _checks(checks: Sequence[Check]) -> list[str]:
    rows = ["| | criterion | wanted | found |", "|---|---|---|---|"]
    for check in checks:
        what = f"control: {check.what}" if check.control else check.what
        cells = ("yes" if check.met else "**no**", what, check.wanted, check.found)
        rows.append(f"| {' | '.join(map(_cell, cells))} |")
    return rows


def _table(table: Table) -> list[str]:
    rows = [f"{table.title}:", "", f"| {' | '.join(map(_cell, table.header))} |"]
    rows.append("|---" + "|---:" * (len(table.header) - 1) + "|")
    return rows + [f"| {' | '.join(map(_cell, row))} |" for row in table.rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _minutes(record: Record) -> str:
    return f"{record.seconds / 60:.1f}"


def _anchor(title: str) -> str:
    """The name that GitHub gives to a heading."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")
