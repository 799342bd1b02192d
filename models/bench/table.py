"""The report as text: a table of 80 columns for a terminal, and one in Markdown."""

import textwrap
from collections.abc import Callable, Mapping, Sequence

from .contestants import LLAMA_CPP, PRESAMPLE, TRANSFORMERS

WIDTH = 80
NONE = "–"
BUSY = 0.5  # load average from which numbers are no longer to be trusted

Column = tuple[str, str, Callable[[dict], str]]  # two lines of heading, and what a row has there


def columns(report: Mapping) -> list[Column]:
    """Returns the columns that this report can fill."""
    found: list[Column] = [("tokens/s", "", lambda row: f"{row['tokens_per_second']:.1f}")]
    for engine, heading in ((TRANSFORMERS, "× trans-|formers"), (LLAMA_CPP, "× llama|.cpp Q8")):
        if engine in report["baselines"]:
            upper, lower = heading.split("|")
            found.append((upper, lower, lambda row, engine=engine: f"{row['ratios'][engine]['median']:.2f}"))
    found.append(("first", "token", lambda row: seconds(row["first_token_seconds"])))
    if any(row["load_seconds"] is not None for row in report["results"]):
        found.append(("load", "", lambda row: seconds(row["load_seconds"])))
    if any(row["peak_bytes"] is not None for row in report["results"]):
        found.append(("peak", "memory", lambda row: size(row["peak_bytes"])))
    return found


def terminal(report: Mapping) -> str:
    """Returns the table with what was measured above it and what was left out below."""
    shown = columns(report)
    labels = [f"  {row['label']}" for row in report["results"]]
    name_width = max(map(len, [*labels, TRANSFORMERS]))
    widths = [max(len(upper), len(lower), 8) for upper, lower, _ in shown]

    def line(name: str, cells: Sequence[str]) -> str:
        return (
            name.ljust(name_width) + "".join(c.rjust(w + 1) for c, w in zip(cells, widths, strict=True))
        ).rstrip()

    lines = [*_wrapped(title(report)), *_wrapped(place(report)), ""]
    lines += [line("", [upper for upper, _, _ in shown]), line("", [lower for _, lower, _ in shown])]
    engine = None
    for row in report["results"]:
        if row["engine"] != engine:
            engine = row["engine"]
            lines.append(engine)
        lines.append(line(f"  {row['label']}", [cell(row) for _, _, cell in shown]))
    return "\n".join([*lines, *_notes(report)])


def markdown(report: Mapping) -> str:
    """Returns the table for a README."""
    shown = columns(report)
    head = ["", *(f"{upper}{'' if upper.endswith('-') else ' '}{lower}".strip() for upper, lower, _ in shown)]
    head = [cell.replace("trans-", "trans") for cell in head]
    lines = [_row(head), _row(["---", *["---:"] * len(shown)])]
    for row in report["results"]:
        bold = "**" if row["engine"] == PRESAMPLE else ""
        lines.append(_row([f"{bold}{row['name']}{bold}", *(cell(row) for _, _, cell in shown)]))
    return "\n".join([*lines, "", f"{title(report)} {place(report)}"])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def title(report: Mapping) -> str:
    """Returns what was measured, in a sentence."""
    settings, shape = report["settings"], report["settings"]["shape"]
    return (
        f"Random weights in the shape {shape['name']} ({_millions(settings['parameters'])} parameters):"
        f" {settings['new_tokens']} tokens after a prompt of {settings['prompt_tokens']},"
        f" {_rounds(settings['repeats'])}."
    )


def _rounds(count: int) -> str:
    return f"median of {count} interleaved rounds" if count > 1 else "one round"


def _millions(count: int) -> str:
    return f"{count / 1e6:.0f} M" if count >= 1e7 else f"{count / 1e6:.1f} M"


def place(report: Mapping) -> str:
    """Returns where it was measured, and with which versions, in a sentence."""
    machine = report["machine"]
    versions = {"torch": "torch", "transformers": "transformers", "llama_cpp": "llama-cpp-python"}
    named = [f"{name} {machine[key]}" for key, name in versions.items() if machine[key]]
    device = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    count = machine["threads"]
    return f"{device}, {count} thread{'s' if count > 1 else ''}; {', '.join(named)}; {report['date'][:10]}."


def _notes(report: Mapping) -> list[str]:
    lines = [""]
    load, cores = report["machine"]["load_average"], report["machine"]["cores"]
    if load is not None and load > BUSY:
        lines += _wrapped(f"Others used this machine: load {load:.1f} on {cores} cores when this began.")
    if base := report["baselines"].get(TRANSFORMERS):
        lines += _wrapped(f"× transformers: against its fastest for one text, {base}.")
    if any(row["batch"] > 1 for row in report["results"]):
        lines += _wrapped("× 4: four texts at once, of the same prompt; mixed: of different prompts.")
    for name, facts in report["alone"].items():
        if not any(row["name"] == name for row in report["results"]):
            lines += _wrapped(f"{name}: loads in {seconds(facts['load_seconds'])}.")
    reasons: dict[str, list[str]] = {}
    for name, reason in report["skipped"].items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        lines += _wrapped(f"skipped {', '.join(names)}: {reason}")
    return lines if len(lines) > 1 else []


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def seconds(value: float | None) -> str:
    """Returns a duration in three digits: 8 ms, 0.12 s, 3.4 s."""
    if value is None:
        return NONE
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 9.95 else f"{value:.1f} s"


def size(value: float | None) -> str:
    """Returns an amount of memory in powers of ten, as the hub's pages count."""
    if value is None:
        return NONE
    return f"{value / 1e9:.2f} GB" if value >= 0.9995e9 else f"{value / 1e6:.0f} MB"
