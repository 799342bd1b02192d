"""A small language model in TIPO's own format, trained from nothing on what is said of ColourShapes.

Convention: a record's general tags are a scene's four tags, its captions sentences about it; requests and
answers are those of `tipo.wire`.
Source: spec 1.3, 1.12, 5.2.

b batch  n tokens of a row
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..files import written
from ..seeds import generator_for
from ..tipo import wire
from ..tipo.training.batches import IGNORED, collate, encode
from ..tipo.training.samples import Record, Sample, build
from ..tipo.training.tokenizer import train_tokenizer
from .shapes import ATTRIBUTES, draw
from .shapes_text import random_names, sentence, tags

EOS = 2
LONGEST = 60  # tokens of an answer
# What is given whole in requests that ask whether a task is obeyed: the next field is for the model to name.
ORDERED = {
    "tag_to_long": wire.Fields({"general": ("circle", "red", "grey ground", "top left")}),
    "short_to_tag": wire.Fields(short="a red circle."),
    "short_to_tag_to_long": wire.Fields(short="a red circle."),
}


@dataclass(frozen=True)
class Writer:
    """The size of the language model and of its training."""

    hidden: int = 96
    layers: int = 2
    heads: int = 4
    mlp: int = 256
    vocabulary: int = 640
    steps: int = 800
    batch: int = 64
    lr: float = 3e-3
    warmup: int = 40


def records(count: int, generator: torch.Generator) -> list[Record]:
    """Returns what is known of random scenes: tags, a short caption, a long one."""
    rows = draw(count, generator).attributes().tolist()
    named = random_names(count, generator).tolist()
    whole = (True,) * len(ATTRIBUTES)
    return [
        Record({"general": tuple(tags(row, whole))}, f"{sentence(row, some)}.", f"{sentence(row, whole)}.")
        for row, some in zip(rows, named, strict=True)
    ]


def samples(count: int, generator: torch.Generator) -> list[Sample]:
    """Returns training texts in TIPO's format."""
    return [build(record, generator) for record in records(count, generator)]


def tokenizer(path: Path, writer: Writer):
    """Returns the tokenizer in a file, trained and written first where there is none."""
    from tokenizers import Tokenizer

    if not path.exists():
        texts = (sample.text for sample in samples(512, generator_for(0)))
        words = (text.replace("<|", " ").replace("|>", " ") for text in texts)
        values = [f"{value} ground" for value in ATTRIBUTES["background"]]
        phrases = [*values, *ATTRIBUTES["quadrant"]]
        with written(path) as half:
            train_tokenizer(words, half, size=writer.vocabulary, phrases=phrases)
    return Tokenizer.from_file(str(path))


def model(writer: Writer, size: int, seed: int):
    """Returns a fresh LLaMA; the global random state is as before."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=size,
        hidden_size=writer.hidden,
        num_hidden_layers=writer.layers,
        num_attention_heads=writer.heads,
        num_key_value_heads=writer.heads,
        intermediate_size=writer.mlp,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=EOS,
        pad_token_id=EOS,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def batch(words, writer: Writer, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns ids and labels (b, n) of new texts."""
    return collate(encode(samples(writer.batch, generator), words), EOS)


@torch.no_grad()
def answers(
    lm, words, requests: Sequence[str], generator: torch.Generator, *, greedy: bool = False, chunk: int = 256
) -> list[str]:
    """Returns whole texts: requests, equally many tokens each, and what the model goes on with."""
    found = []
    for begin in range(0, len(requests), chunk):
        rows = torch.tensor([words.encode(text).ids for text in requests[begin : begin + chunk]])
        ids, cache, new = rows, None, []
        ended = torch.zeros(len(rows), dtype=torch.bool)
        while not ended.all() and len(new) < LONGEST:
            out = lm(input_ids=ids, past_key_values=cache, use_cache=True)
            cache, logits = out.past_key_values, out.logits[:, -1].float()
            drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
            ids = torch.where(ended[:, None], EOS, logits.argmax(-1, keepdim=True) if greedy else drawn)
            ended |= ids[:, 0] == EOS
            new.append(ids)
        answer = torch.cat(new, 1).tolist()
        texts = requests[begin : begin + chunk]
        found += [text + words.decode(row) for text, row in zip(texts, answer, strict=True)]
    return found


def request(shape: str) -> str:
    """Returns the request to go on with the tags of a shape."""
    return wire.render(wire.Fields({"general": (shape,)}), task=None, length="very_short")


def understood(text: str) -> tuple[list[int], list[bool], int]:
    """Returns the attributes (4) that a text's tags name, which are named, and how many tags are no use: said
    twice in another way, or of no attribute."""
    found, named, useless = [0] * len(ATTRIBUTES), [False] * len(ATTRIBUTES), 0
    for tag in wire.parse(text).content_tags:
        place = _places().get(tag)
        if place is None or (named[place[0]] and found[place[0]] != place[1]):
            useless += 1
        elif not named[place[0]]:
            found[place[0]], named[place[0]] = place[1], True
    return found, named, useless


def _places() -> dict[str, tuple[int, int]]:
    spelled = {"background": "{} ground"}
    return {
        spelled.get(name, "{}").format(value): (column, i)
        for column, (name, values) in enumerate(ATTRIBUTES.items())
        for i, value in enumerate(values)
    }


def keeps_length(text: str) -> bool:
    """Whether a text has as many tags as those that the model learned from: one for each attribute."""
    return len(wire.parse(text).content_tags) == len(ATTRIBUTES)


def keeps_tag(text: str, shape: str) -> bool:
    """Whether a text's tags name this shape and no other."""
    return set(wire.parse(text).content_tags) & set(ATTRIBUTES["shape"]) == {shape}


def keeps_order(lm, words, generator: torch.Generator, *, count: int = 64) -> float:
    """Returns the share of answers that have the fields of their task in its order."""
    right = 0
    for task, fields in ORDERED.items():
        asked = [wire.render(fields, task=task, length="very_short")] * count
        for text in answers(lm, words, asked, generator):
            keys = [line.partition(":")[0] for line in text.split("\n") if ":" in line]
            right += tuple(keys[1:]) == wire.find_task(task).fields
    return right / (count * len(ORDERED))


@torch.no_grad()
def likelihood(lm, words, seed: int, *, count: int = 256) -> Mapping[str, float]:
    """Returns the mean -log p of a token of held-out answers: by the model, and by the tokens' own shares."""
    held, other = (samples(count, generator_for(seed, number)) for number in (91, 92))
    ids, labels = collate(encode([_answer_only(s) for s in held], words), EOS)
    seen = collate(encode([_answer_only(s) for s in other], words), EOS)[1]
    logits = lm(input_ids=ids).logits.float()[:, :-1]
    wanted = labels[:, 1:]
    nll = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)
    share = torch.bincount(seen[seen != IGNORED], minlength=logits.shape[-1]).double() + 1
    share = share / share.sum()
    return {"model": float(nll), "unigram": float(-share[wanted[wanted != IGNORED]].log().mean())}


def _answer_only(sample: Sample) -> Sample:
    return Sample(**vars(sample) | {"whole": False})
