"""The card of a trained model: what it is, how it was made, what was measured, and whether that is enough.

`card.json` is for programs, `CARD.md` says the same to people; a missed threshold is printed as missed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from ..files import read_json, write_json, write_text

FACTS, PAGE = "card.json", "CARD.md"

AGAIN = (
    "The seed decides weights, data and order; between processors and versions of PyTorch the rounding "
    "differs, so another machine makes an equally good model, not the same file."
)


@dataclass(frozen=True)
class Measure:
    """A number that was measured; `style` is how `format` shows it, `least` and `most` are its bounds."""

    title: str
    value: float
    style: str = ".3f"
    least: float | None = None
    most: float | None = None

    @property
    def reached(self) -> bool:
        """Whether it keeps to its bounds."""
        return (self.least is None or self.value >= self.least) and (
            self.most is None or self.value <= self.most
        )

    def row(self) -> str:
        """Returns it as a row of a table."""
        bounds = [
            f"{word} {bound:{self.style}}"
            for word, bound in (("at least", self.least), ("at most", self.most))
            if bound is not None
        ]
        verdict = ("yes" if self.reached else "**no**") if bounds else ""
        return f"| {self.title} | {self.value:{self.style}} | {' and '.join(bounds)} | {verdict} |"


@dataclass(frozen=True)
class Card:
    """What there is to say of a model; `training` and `metrics` hold facts as JSON has them, the latter for
    programs alone, and `more` is Markdown."""

    what: str
    command: str
    data: str
    training: Mapping
    how: str
    measures: Mapping[str, Measure]
    more: Sequence[str] = ()
    metrics: Mapping = field(default_factory=dict)


def read(folder: Path) -> dict:
    """Returns what `card.json` says, or nothing where there is none."""
    path = folder / FACTS
    return read_json(path) if path.exists() else {}


def begin(folder: Path, training: Mapping) -> None:
    """Starts a new card with how the model was trained; the rest comes when it is measured."""
    write_json(folder / FACTS, {"training": dict(training)})


def write(folder: Path, card: Card, *, files: Sequence[str] = ("model.safetensors",)) -> bool:
    """Writes `card.json` and `CARD.md` beside the files of a model; returns whether every bound is kept."""
    facts = {
        "name": folder.name,
        "what": card.what,
        "licence": "Apache-2.0",
        "date": date.today().isoformat(),
        "command": card.command,
        "data": card.data,
        "files": {name: _file(folder / name) for name in files},
        "training": dict(card.training),
        "how": card.how,
        "measures": {name: asdict(m) | {"reached": m.reached} for name, m in card.measures.items()},
    }
    if card.metrics:
        facts["metrics"] = dict(card.metrics)
    write_json(folder / FACTS, facts)
    write_text(folder / PAGE, page(facts, card))
    return all(measure.reached for measure in card.measures.values())


def _file(path: Path) -> dict:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def page(facts: Mapping, card: Card) -> str:
    """Returns the card as Markdown; `facts` are those of `card.json`."""
    training = ", ".join(f"{name.replace('_', ' ')} {_shown(v)}" for name, v in card.training.items())
    files = [f"| {name} | {f['bytes']:,} | `{f['sha256']}` |" for name, f in facts["files"].items()]
    parts = [
        f"# {facts['name']}",
        card.what,
        f"Licence {facts['licence']}. Made on {facts['date']} by `{card.command}`.",
        f"## Data\n\n{card.data}",
        f"## Training\n\n{training}.\n\n{AGAIN}",
        f"## Measured\n\n{card.how}",
        "\n".join(
            ["| | | wanted | reached |", "|---|---|---|---|", *(m.row() for m in card.measures.values())]
        ),
        *card.more,
        "\n".join(["## Files\n", "| file | bytes | sha256 |", "|---|---|---|", *files]),
    ]
    return "\n\n".join(parts) + "\n"


def _shown(value) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
