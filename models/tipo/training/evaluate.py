"""Measures a small TIPO model against the world it was trained on: `presample eval tipo` writes its card.

Convention: nats; a request is what a held-out sample gives. What the model has learned is judged by answers
from its own distribution; a low temperature prefers the one token that ends a list to the many that go on.
Generation is transformers' own, so the numbers do not depend on our decoder.
Source: specification 5.2 (thresholds), `tinyworld.truth` (the exact conditional entropy).
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lgamma
from pathlib import Path

import torch

from ...hub import bundled_folder
from ...options import add_flags, from_flags, option
from ...seeds import generator_for
from ...tinyworld import truth
from ...tinyworld.net import eliminate
from ...tinyworld.scene import ASPECTS, Scene, aspect_of, sample_many, world
from ...tinyworld.tags import SPECIAL, TAGS, mention, mentioned
from .. import wire
from ..lengths import LIMITS, bucket
from ..options import ExpandOptions
from .batches import encode
from .card import write_card
from .corpus import held_out
from .samples import Record, Sample, build

BUNDLED = str(bundled_folder() / "tipo-tiny")
BATCH = 64
# Two ways to draw answers: from the model's own distribution, and as an expansion does by default.
OWN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
DEFAULT = {name: getattr(ExpandOptions(), name) for name in OWN}


@dataclass(frozen=True)
class EvalOptions:
    """What is measured, and how much of it."""

    model: str = option(BUNDLED, "Folder of the model; the card is written into it.")
    requests: int = option(512, "Held-out requests to answer.", low=8, high=10**6, step=1)
    records: int = option(256, "Held-out tag lists to score exactly.", low=8, high=10**6, step=1)
    seed: int = option(1, "Decides requests and answers.", low=0, high=2**31, step=1)


@dataclass(frozen=True)
class Answer:
    """A request with what the model made of it."""

    sample: Sample
    text: str
    ended: bool

    @property
    def tags(self) -> tuple[str, ...]:
        return wire.parse(self.text).content_tags

    @property
    def general(self) -> list[str]:
        return [t for t in dict.fromkeys(self.tags) if t not in SPECIAL]

    @property
    def order(self) -> tuple[str, ...]:
        """The content fields in the order in which they begin."""
        keys = (line.partition(":")[0] for line in self.text.split("\n"))
        return tuple(k for k in keys if k in wire.CONTENT)


def add_parser(subparsers) -> ArgumentParser:
    """Adds `tipo` to the subparsers of `presample eval`, and returns its parser."""
    parser = subparsers.add_parser("tipo")
    add_flags(parser, EvalOptions)
    parser.set_defaults(run=run)
    return parser


def run(args: Namespace) -> int:
    """Measures, writes `card.json` and `CARD.md`; 1 when a threshold is missed."""
    options = from_flags(args, EvalOptions)
    return 0 if write_card(Path(options.model), measure(options)) else 1


def measure(options: EvalOptions) -> dict:
    """Returns all numbers of the card.

    Raises:
        FileNotFoundError: the folder lacks a file of a model.
        ModuleNotFoundError: transformers or tokenizers is missing (`presample[train]`).
    """
    model, tokenizer = load(Path(options.model))
    return {
        "requests": options.requests,
        "own": shares(model, tokenizer, options, OWN),
        "default": shares(model, tokenizer, options, DEFAULT),
        "likelihood": likelihoods(model, tokenizer, options),
    }


def shares(model, tokenizer, options: EvalOptions, sampling: Mapping) -> dict:
    """Returns what share of the answers is as it should be, with one way of sampling."""
    natural = held_out(options.seed, options.requests)
    natural = answer(model, tokenizer, natural, seed=options.seed, sampling=sampling)
    forced = forced_requests(options)
    forced = answer(model, tokenizer, forced, seed=options.seed + 1, sampling=sampling)
    sized = [a for a in natural if wire.find_task(a.sample.task).sized]
    every = natural + forced
    return {
        "length_compliance": share(keeps_length(a) for a in sized),
        "length_compliance_by_bucket": by_bucket(sized),
        "length_compliance_forced": share(keeps_length(a) for a in forced),
        "length_compliance_forced_by_bucket": by_bucket(forced),
        "field_order": share(keeps_order(a) for a in natural),
        "user_tags_kept": share(set(a.sample.given) <= set(a.tags) for a in every if tag_first(a)),
        "answers_ended": share(a.ended for a in every),
        "known_tags": share(t in TAGS for a in every for t in a.general),
        "repeated_tags": 1 - share(t not in a.tags[:i] for a in every for i, t in enumerate(a.tags)),
        "possible_scenes": share(is_possible(a) for a in every if a.general),
    }


def load(folder: Path):
    """Returns the model in single precision and its tokenizer."""
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    for name in ("tokenizer.json", "config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name} must be there; give the folder of a trained model with --model"
            )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return LlamaForCausalLM.from_pretrained(folder).float().eval(), tokenizer


def forced_requests(options: EvalOptions) -> list[Sample]:
    """Returns requests of a few tags with each length in turn, whatever length the scene would have."""
    generator = generator_for(options.seed, -1, -2)
    found = []
    for i, scene in enumerate(sample_many(generator, options.requests // 2)):
        _, tags = mention(scene, generator)
        count = 1 + int(torch.randint(5, (), generator=generator))
        given = tags["general"][:: max(1, len(tags["general"]) // count)][:count]
        length = list(LIMITS)[i % len(LIMITS)]
        tags = {
            "special": tags.get("special", ()),
            "general": given,
            "quality": ("masterpiece",),
            "meta": ("absurdres",),
        }
        fields = wire.Fields(tags, aspect_ratio="1.0")
        text = wire.render(fields, task=None, length=length)
        found.append(Sample(text, len(text), False, None, length, fields.content_tags, ()))
    return found


@torch.inference_mode()
def answer(model, tokenizer, samples: Sequence[Sample], *, seed: int, sampling: Mapping) -> list[Answer]:
    """Returns the model's answers, sampled; the global random state is as before."""
    found: list[Answer] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for i in range(0, len(samples), BATCH):
            found += _answer_batch(model, tokenizer, samples[i : i + BATCH], sampling)
    return found


def _answer_batch(model, tokenizer, samples: Sequence[Sample], sampling: Mapping) -> list[Answer]:
    rows = [tokenizer.encode(s.text[: s.start]).ids for s in samples]
    width = max(map(len, rows))
    ids = torch.tensor([[2] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=ExpandOptions().max_new_tokens,
        do_sample=True,
        **sampling,
        pad_token_id=2,
    )[:, width:].tolist()
    return [
        Answer(s, s.text[: s.start] + tokenizer.decode(row), ended=2 in row)
        for s, row in zip(samples, out, strict=True)
    ]


def share(truths) -> float:
    """Returns the fraction that is true."""
    truths = list(truths)
    return sum(map(bool, truths)) / len(truths) if truths else float("nan")


def tag_first(a: Answer) -> bool:
    return wire.find_task(a.sample.task).fields[0] == "tag"


def keeps_length(a: Answer) -> bool:
    """Whether the general tags are as many as the length token says."""
    return a.ended and bucket(len(a.general)) == a.sample.length


def by_bucket(answers: Sequence[Answer]) -> dict[str, float]:
    """Returns the share that keeps its length, for each length asked for."""
    return {
        name: share(keeps_length(a) for a in answers if a.sample.length == name)
        for name in LIMITS
        if any(a.sample.length == name for a in answers)
    }


def keeps_order(a: Answer) -> bool:
    """Whether exactly the fields of the task are there, in its order, and none is empty."""
    fields = wire.find_task(a.sample.task).fields
    parsed = wire.parse(a.text)
    filled = {"tag": parsed.content_tags, "short": parsed.short, "long": parsed.long}
    return a.ended and a.order == fields and all(filled[key] for key in fields)


def is_possible(a: Answer) -> bool:
    """Whether the world has a scene of which all the tags are true; words it does not know are left out."""
    known = [t for t in a.tags if t in TAGS or t in SPECIAL]
    return float(eliminate([*world().tables.values(), *mentioned(known)], ())) > 0


def likelihoods(model, tokenizer, options: EvalOptions) -> dict:
    """Returns the mean -log p(T_d | T_s, all metadata, length) per record: the model, the truth, unigrams."""
    rates = truth.mention_rates()
    sizes = truth.log_supersets((), truth.Given({})).exp().tolist()
    rows = []
    for scene, record, sample in scored_records(options):
        low, high = _bounds(sample.length)
        special = record.tags.get("special", ())
        start = [t for t in sample.given if t not in special]
        given = truth.Given(
            {"quality": scene.quality, "aspect": aspect_of(float(record.aspect_ratio))},
            fixed={*special, *record.tags.get("meta", ())},
        )
        exact = truth.continuation_nll(start, sample.withheld, given, bucket=(low, high))
        unigram = truth.unigram_nll(
            start, sample.withheld, rates, sizes=dict(enumerate(sizes)), bucket=(low, high)
        )
        count = len(sample.withheld)
        rows.append((answer_nll(model, tokenizer, sample), exact, unigram, lgamma(count + 1), count))
    model_nll, exact, unigram, order, counts = torch.tensor(rows, dtype=torch.float64).T
    gap = model_nll - exact
    return {
        "records": len(rows),
        "tags_per_record": float(counts.mean()),
        "model": float(model_nll.mean()),
        "exact": float(exact.mean()),
        "unigram": float(unigram.mean()),
        "order_alone": float(order.mean()),
        "gap": float(gap.mean()),
        "gap_standard_error": float(gap.std() / len(rows) ** 0.5),
        "explained": float((unigram - model_nll).mean() / (unigram - exact).mean()),
    }


def _bounds(length: str) -> tuple[int, int]:
    """The sizes that a bucket of training holds."""
    inside = [n for n in range(truth.CAP + 1) if bucket(n) == length]
    return inside[0], inside[-1]


def scored_records(options: EvalOptions) -> list[tuple[Scene, Record, Sample]]:
    """Returns samples that show all of their metadata and whose answer is tags alone, with their scenes."""
    generator = generator_for(options.seed, -1, -3)
    found: list[tuple[Scene, Record, Sample]] = []
    while len(found) < options.records:
        (scene,) = sample_many(generator, 1)
        _, tags = mention(scene, generator)
        if not 2 <= len(tags["general"]) < truth.CAP:
            continue
        record = Record(tags, aspect_ratio=f"{ASPECTS[scene.aspect][0]:.1f}")
        sample = build(record, generator)
        lines = sample.text[: sample.start].split("\n")
        complete = len(lines) == 2 + sum(k in wire.METADATA for k in tags) + 1
        if complete and sample.withheld and wire.GEN_META not in sample.text and sample.given:
            found.append((scene, record, sample))
    return found


@torch.inference_mode()
def answer_nll(model, tokenizer, sample: Sample) -> float:
    """Returns -log p(the sample's answer and the end | its request), in nats."""
    (e,) = encode([Sample(**{**vars(sample), "whole": False})], tokenizer)
    logits = model(input_ids=torch.tensor([e.ids])).logits[0, :-1].double()
    picked = logits.log_softmax(-1)[torch.arange(len(e.ids) - 1), torch.tensor(e.ids[1:])]
    return -float(picked[e.skip - 1 :].sum())
