"""The card of a trained model: what it is, how it was made, what was measured, if that is enough.

`card.json` is for programs, `CARD.md` says the same to people; a missed threshold is printed as missed.
Source of the thresholds: specification 5.2.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

WHAT = (
    "A very small TIPO model: a few tags or a sentence about a landscape become detailed tags and prose. "
    "It knows only the little world of this repository (`models/tinyworld`), and is meant for trying things "
    "without a download, for tests and for experiments where the truth is known. It is no replacement for "
    "a published TIPO model."
)
DATA = (
    "Endless records of the little world, made by this repository's own code: tags by rules, captions by a "
    "grammar, training samples by the published construction, with some words mixed into requests that the "
    "world does not know. Nobody else's text or pictures."
)
COMPARE = (
    "All likelihoods are mean nats per record of -log p(the withheld general tags in their order, then the "
    "end | the given tags, all metadata lines, the length token), over the same held-out records. *Exact* is "
    "the world's own probability by variable elimination, so no model can be better on average; the rest is "
    "what the model has not learned. Tags come in random order, so the log of the number of orders is in "
    "every figure alike. *Unigrams* know how often each tag and each size of list occurs, and nothing "
    "else. The model's figure includes what it gives away on spellings that are no tag. These numbers say "
    "nothing about other models, other worlds or pictures."
)


@dataclass(frozen=True)
class Threshold:
    """A number that has to be reached."""

    title: str
    least: float


THRESHOLDS = {
    "length_compliance": Threshold("tags as many as the length token says", 0.90),
    "field_order": Threshold("the fields of the task, in its order, none empty", 0.99),
    "user_tags_kept": Threshold("the user's tags still there", 1.0),
}
OTHERS = {
    "length_compliance_forced": "the same, few tags given and any length asked for",
    "answers_ended": "answers that come to an end by themselves",
    "known_tags": "tags that are the world's own (or the user's)",
    "repeated_tags": "tags said twice",
    "possible_scenes": "tag lists that some scene of the world fits as a whole",
}


def sha256(path: Path) -> str:
    """Returns the checksum of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_card(folder: Path) -> dict:
    """Returns the card, or an empty one where there is none."""
    path = folder / "card.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_training(folder: Path, facts: Mapping, command: str) -> None:
    """Starts a new card with how the model was trained, and by what command."""
    _dump(folder, {"command": command, "training": dict(facts)})


def write_card(folder: Path, metrics: Mapping) -> bool:
    """Completes `card.json`, writes `CARD.md`, and returns whether every threshold is reached."""
    passed = {name: metrics["own"][name] >= t.least for name, t in THRESHOLDS.items()}
    card = {
        "name": folder.name,
        "what": WHAT,
        "licence": "Apache-2.0",
        "date": date.today().isoformat(),
        "command": read_card(folder).get("command", "presample train tipo"),
        "data": DATA,
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
            for name in ("model.safetensors", "tokenizer.json", "config.json")
        },
        "training": read_card(folder).get("training", {}),
        "metrics": dict(metrics),
        "thresholds": {name: t.least for name, t in THRESHOLDS.items()},
        "passed": passed,
    }
    _dump(folder, card)
    (folder / "CARD.md").write_text(page(card), encoding="utf-8")
    return all(passed.values())


def _dump(folder: Path, card: Mapping) -> None:
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def page(card: Mapping) -> str:
    """Returns the card as Markdown."""
    training, metrics = card["training"], card["metrics"]
    verdict = {name: "yes" if reached else "**no**" for name, reached in card["passed"].items()}
    rows = [
        f"| {t.title} | {_both(metrics, name)} | at least {t.least:.0%} | {verdict[name]} |"
        for name, t in THRESHOLDS.items()
    ]
    rows += [f"| {title} | {_both(metrics, name)} | | |" for name, title in OTHERS.items()]
    files = [f"| {name} | {f['bytes']:,} | `{f['sha256']}` |" for name, f in card["files"].items()]
    options = ", ".join(f"{k} {v}" for k, v in training.get("options", {}).items())
    return "\n".join(
        [
            f"# {card['name']}",
            "",
            card["what"],
            "",
            f"Licence {card['licence']}. Made on {card['date']} by `{card['command']}`, measured by "
            f"`presample eval tipo`; {training.get('parameters', 0):,} parameters, LLaMA.",
            "",
            "## Data",
            "",
            card["data"],
            "",
            "## Training",
            "",
            f"{options}. {training['optimizer']}, cosine after a warm-up.",
            f"Held-out loss in nats per token: {_losses(training)}.",
            "",
            "The seed decides weights, data and order; between processors and versions of PyTorch the "
            "rounding differs, so another machine makes an equally good model, not the same file.",
            "",
            "## Measured",
            "",
            f"{metrics['requests']} held-out requests, half as many with a forced length, answered twice: "
            "from the model's own distribution, which is what has to reach the thresholds, and with the "
            "default sampling of an expansion. Its low temperature prefers the one token that ends a list to "
            "the many that go on, so lists end early; expanding enforces the length.",
            "",
            "| share of | own distribution | default sampling | wanted | reached |",
            "|---|---|---|---|---|",
            *rows,
            "",
            *_likelihood(metrics["likelihood"]),
            "## Files",
            "",
            "| file | bytes | sha256 |",
            "|---|---|---|",
            *files,
            "",
        ]
    )


def _both(metrics: Mapping, name: str) -> str:
    return f"{metrics['own'][name]:.1%} | {metrics['default'][name]:.1%}"


def _losses(training: Mapping) -> str:
    names = {"text": "all text", "answer": "answers"}
    losses = training.get("held_out_loss", {})
    return ", ".join(f"{value:.3f} over {names[key]}" for key, value in losses.items())


def _likelihood(found: Mapping) -> list[str]:
    return [
        "| nats per record | |",
        "|---|---|",
        f"| unigrams | {found['unigram']:.2f} |",
        f"| this model | {found['model']:.2f} |",
        f"| exact | {found['exact']:.2f} |",
        f"| of which the order of tags alone | {found['order_alone']:.2f} |",
        "",
        f"Over {found['records']} records with {found['tags_per_record']:.1f} withheld tags on average; the "
        f"model is {found['gap']:.2f} ± {found['gap_standard_error']:.2f} nats from the truth and knows "
        f"{found['explained']:.0%} of what can be known beyond unigrams.",
        "",
        COMPARE,
        "",
    ]
