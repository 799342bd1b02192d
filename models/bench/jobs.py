"""A job of images with a prompt each: all expanded together, beside one after the other.

Both ways give the same texts, which is checked. Rounds take turns, so that a noisy machine is noisy for both;
times are medians over the rounds, the ratio is the median of the rounds' own.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from ..lm.checkpoint import LanguageModel
from ..tipo.expand import expand, expand_each
from ..tipo.expander import Tipo
from ..tipo.expansion import Expansion, Request
from ..tipo.options import ExpandOptions
from ..tipo.tags import load_tags

PROMPTS = (
    "1girl, lake, night",
    "forest, autumn",
    "a city in the rain",
    "mountain, snow, 1boy",
    "A girl stands by the water.",
    "beach, sunset, boat",
    "field, flower, spring",
    "castle, moon, fog",
)
# Random weights know no tags: each text goes on for as many tokens, and the request is as long as in life.
UNTRAINED = {
    "tag_length": "very_short",
    "prose_length": "none",
    "max_new_tokens": 96,
    "avoid_conflicts": False,
    "meta": "",
    "quality": "",
}


@dataclass(frozen=True)
class Result:
    """Seconds of both ways, tokens that were drawn, and how many times faster together is."""

    prompts: int
    tokens: int
    together: float
    single: float
    ratio: float


def untrained(language: LanguageModel) -> Tipo:
    """Returns a model of random weights, as if it were trained."""
    return Tipo(language, load_tags(), None)


def requests(count: int, *, trained: bool) -> list[Request]:
    """Returns `count` requests of different prompts and seeds; raises ValueError where there are fewer."""
    if not 1 <= count <= len(PROMPTS):
        raise ValueError(f"there are 1 to {len(PROMPTS)} prompts, got {count}")
    options = {} if trained else UNTRAINED
    return [
        Request(prompt, options=ExpandOptions(seed=k, **options)) for k, prompt in enumerate(PROMPTS[:count])
    ]


def measure(
    asked: Sequence[Request], tipo: Tipo, *, rounds: int = 5, on_round: Callable[[], None] = lambda: None
) -> Result:
    """Returns what both ways take; `on_round` is called after each round."""
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    expand_each(asked, tipo)
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        together = expand_each(asked, tipo)
        middle = time.perf_counter()
        single = [expand(request, tipo) for request in asked]
        times.append((middle - begin, time.perf_counter() - middle))
        if [each.prompt for each in together] != [each.prompt for each in single]:
            raise ValueError("texts written together must be those written alone, and they are not")
        on_round()
    return Result(
        len(asked),
        sum(_tokens(each) for each in together),
        statistics.median(together for together, _ in times),
        statistics.median(single for _, single in times),
        statistics.median(single / together for together, single in times),
    )


def _tokens(expansion: Expansion) -> int:
    return sum(report.tokens for report in expansion.passes)


def table(name: str, threads: int, result: Result) -> str:
    """Returns the result in Markdown."""
    facts = asdict(result)
    return "\n".join(
        [
            "| model | threads | prompts | tokens | together | one by one | faster |",
            "|---|---:|---:|---:|---:|---:|---:|",
            f"| {name} | {threads} | {facts['prompts']} | {facts['tokens']} | {result.together:.2f} s "
            f"| {result.single:.2f} s | {result.ratio:.2f} x |",
        ]
    )
