"""Many texts from one request as a tree, on language models that are known wholly: Markov chains of tags.

Convention: a text is a tuple of tokens: tags, each followed by a comma or the end. A token drawn counts, the
end too. Every seed has a chain of its own; its arms draw from the same one.
Source: spec 1.13, 5.2; the sizes are those of `tests/tipo/test_tree.py`, where one chain is tried.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..metrics.vendi import cosine_kernel, vendi_score
from ..tipo.tree import Growth, search
from .drawn import bars
from .experiment import Experiment, Job, Results
from .judgement import Check, Judgement, Panel, Table
from .statistics import interval

ARMS = ("independent", "tree")
GROUP = 4  # tags that grow at once
Text = tuple[int, ...]


@dataclass(frozen=True)
class Settings:
    """The chains, how many texts, and the thresholds."""

    count: int = 256
    tags: int = 60
    shortest: int = 24
    longest: int = 40
    end: float = 0.15
    min_p: float = 0.1
    tokens: float = 0.7
    diversity: float = 0.95


class Chain:
    """What comes after a text: no tag twice, an end from `shortest` tags on, and at `longest` for certain."""

    def __init__(self, s: Settings, generator: torch.Generator):
        popular = torch.rand(s.tags, generator=generator).square() + 0.02
        self.after = torch.randn(s.tags, s.tags, generator=generator) + popular.log()
        self.s, self.comma, self.end = s, s.tags, s.tags + 1

    def chances(self, text: Text) -> Tensor:
        """Returns the probabilities (v) of the next token, those below min_p of the largest taken out."""
        share = torch.zeros(self.end + 1)
        tags = text[::2]
        if text and text[-1] != self.comma:
            share[self.comma] = 1.0
            return share
        if len(tags) < self.s.longest:
            logits = (self.after[tags[-1]] if tags else self.after.mean(0)).clone()
            logits[list(tags)] = -math.inf
            share[: self.comma] = logits.softmax(0)
        if len(tags) >= self.s.shortest:
            share[self.end] = self.s.end
        share = torch.where(share < self.s.min_p * share.max(), 0.0, share)
        return share / share.sum()


class Writer:
    """Draws from a chain, and counts the tokens."""

    def __init__(self, chain: Chain, generator: torch.Generator):
        self.chain, self.generator, self.tokens = chain, generator, 0

    def grow(self, texts: Sequence[Text]) -> list[Growth]:
        """Returns each text with one more group."""
        return [self.group(text) for text in texts]

    def group(self, begun: Text) -> Growth:
        """Returns a text with up to GROUP tags more."""
        text, chances, finished = begun, [], False
        while not finished and len(text) - len(begun) < 2 * GROUP:
            share = self.chain.chances(text)
            token = int(torch.multinomial(share, 1, generator=self.generator))
            text, self.tokens = (*text, token), self.tokens + 1
            if token < self.chain.comma:
                chances.append(float(share[token]))
            finished = token == self.chain.end
        return Growth(text, chances, frozenset(tags_of(text, self.chain)), finished)

    def whole(self) -> Text:
        """Returns one text drawn by itself."""
        growth = self.group(())
        while not growth.finished:
            growth = self.group(growth.text)
        return growth.text


def tags_of(text: Text, chain: Chain) -> list[int]:
    """Returns the tags of a text."""
    return [token for token in text if token < chain.comma]


def diversity(texts: Sequence[Text], chain: Chain) -> float:
    """Returns the Vendi score of texts as bags of tags."""
    return vendi_score(cosine_kernel([Counter(tags_of(text, chain)) for text in texts]))


def measure(job: Job) -> dict:
    """Returns how many tokens the texts took, how different they are, and how many differ; with a tree, also
    how different as many separate texts are as its tokens would have paid for."""
    s = job.settings
    chain = Chain(s, job.generator(0))
    apart = Writer(chain, job.generator(1))
    separate = [apart.whole() for _ in range(s.count)]
    if job.arm == "independent":
        return _looks(separate, apart.tokens, chain)
    together = Writer(chain, job.generator(2))
    shared = search((), together.grow, s.count)
    paid = separate[: max(2, round(s.count * together.tokens / apart.tokens))]
    return _looks(shared, together.tokens, chain) | {"fewer": diversity(paid, chain)}


def _looks(texts: Sequence[Text], tokens: int, chain: Chain) -> dict:
    distinct = len({frozenset(tags_of(text, chain)) for text in texts})
    return {"texts": len(texts), "tokens": tokens, "vendi": diversity(texts, chain), "distinct": distinct}


def judge(s: Settings, found: Results) -> Judgement:
    """Asks that a tree takes fewer tokens and is hardly less diverse."""
    ratio = {
        key: interval(
            [
                a / b
                for a, b in zip(found.values("tree", key), found.values("independent", other), strict=True)
            ]
        )
        for key, other in (("tokens", "tokens"), ("vendi", "vendi"), ("fewer", "vendi"))
    }
    texts = min(found.values("tree", "texts"))
    checks = (
        Check(
            "tokens of a tree over those of separate texts",
            f"at most {s.tokens:.0%}",
            str(ratio["tokens"]),
            ratio["tokens"].mean <= s.tokens,
        ),
        Check(
            "Vendi score of a tree over that of separate texts",
            f"at least {s.diversity:.0%}",
            str(ratio["vendi"]),
            ratio["vendi"].mean >= s.diversity,
        ),
        Check(
            "texts of a tree, worst seed", f"all {s.count}", f"{texts:.0f}", texts == s.count, control=True
        ),
    )
    note = (
        f"As many separate texts as a tree's tokens pay for have {ratio['fewer']} of the diversity of all of "
        "them: the Vendi score grows slowly with the number of texts."
    )
    return Judgement(checks, (_table(found),), (_panel(ratio),), (note,))


def _table(found: Results) -> Table:
    keys = ("tokens", "vendi", "distinct")
    rows = [(arm, *(str(interval(found.values(arm, key))) for key in keys)) for arm in found.arms]
    return Table("By way", ("", "tokens", "Vendi score", "texts with tags of their own"), tuple(rows))


def _panel(ratio: dict) -> Panel:
    titles = {"tokens": "tokens", "vendi": "Vendi score", "fewer": "Vendi score, fewer separate ones"}
    return bars("A tree over separate texts", "", {titles[key]: found for key, found in ratio.items()})


EXPERIMENTS = (
    Experiment(
        name="variety",
        group="tipo",
        title="Many texts as a tree",
        claim="Token-group tree sampling writes many different texts of one request with fewer tokens than "
        "as many separate texts take (TIPO's TGTS).",
        how="Markov chains of 60 tags, of which none comes twice, another chain at every seed, at "
        "temperature 1 and min_p 0.1: 256 texts of 24 to 40 tags, drawn one by one, or by the search of "
        "`--variety tree`.",
        settings=Settings(),
        arms=ARMS,
        measure=measure,
        judge=judge,
        minutes=0.02,
    ),
)
