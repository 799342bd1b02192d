"""The card of a trained TIPO model: `trainer.card` with two ways of sampling and the likelihoods.

Source of the bounds: specification 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...options import flags
from ...trainer.card import Card, Measure, read, write
from .options import TrainOptions

FILES = ("model.safetensors", "tokenizer.json", "config.json")
WHAT = (
    "A very small TIPO model, a LLaMA: a few tags or a sentence about a landscape become detailed tags and "
    "prose. It knows only the little world of this repository (`models/tinyworld`), and is meant for trying "
    "things without a download, for tests and for experiments where the truth is known. It is no replacement "
    "for a published TIPO model."
)
DATA = (
    "Endless records of the little world, made by this repository's own code: tags by rules, captions by a "
    "grammar, training samples by the published construction, with some words mixed into requests that the "
    "world does not know. Nobody else's text or pictures."
)
HOW = (
    "By `presample eval tipo`, on {requests} held-out requests, half as many with a forced length, answered "
    "twice: from the model's own distribution, which is what has to keep to the bounds, and with the default "
    "sampling of an expansion. Its low temperature prefers the one token that ends a list to the many that "
    "go on, so lists end early; expanding enforces the length. The held-out losses above are nats per token, "
    "over all text and over answers."
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
SHARES = {
    "length_compliance": "tags as many as the length token says",
    "field_order": "the fields of the task, in its order, none empty",
    "user_tags_kept": "the user's tags still there",
    "length_compliance_forced": "tags as many as the length token says, few given and any length asked for",
    "answers_ended": "answers that come to an end by themselves",
    "known_tags": "tags that are the world's own (or the user's)",
    "repeated_tags": "tags said twice",
    "possible_scenes": "tag lists that some scene of the world fits as a whole",
}
LEAST = {"length_compliance": 0.90, "field_order": 0.99, "user_tags_kept": 1.0}


def write_card(folder: Path, metrics: Mapping) -> bool:
    """Writes the card of a measured model; returns whether every bound is kept."""
    return write(folder, card(folder, metrics), files=FILES)


def card(folder: Path, metrics: Mapping) -> Card:
    """Returns the card of a model, measured as `evaluate.measure` does."""
    training = read(folder).get("training", {})
    return Card(
        WHAT,
        f"presample train tipo{flags(training.get('options', {}), TrainOptions)}",
        DATA,
        training,
        HOW.format(requests=metrics["requests"]),
        {name: Measure(SHARES[name], metrics["own"][name], ".1%", least) for name, least in LEAST.items()},
        [_shares(metrics), _likelihood(metrics["likelihood"]), COMPARE],
        metrics,
    )


def _shares(metrics: Mapping) -> str:
    """The table of both ways of sampling."""
    own, usual = metrics["own"], metrics["default"]
    rows = [f"| {title} | {own[name]:.1%} | {usual[name]:.1%} |" for name, title in SHARES.items()]
    return "\n".join(["| share of | own distribution | default sampling |", "|---|---|---|", *rows])


def _likelihood(found: Mapping) -> str:
    rows = [
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
    ]
    return "\n".join(rows)
