"""Many variations of one prompt: what a tree saves in tokens, and what it costs in diversity.

Three ways to N variations are compared: each drawn by itself, drawn as a tree, and `fewer`, the first of
those drawn by themselves that take as many tokens as the tree (by the mean length). Diversity is the Vendi
score of the added tags, as a bag of tags and as a bag of runs of one and two words. Numbers are means over
seeds.
"""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from ..metrics.vendi import cosine_kernel, ngrams, vendi_score
from ..tipo.expand import Tipo, expand_many
from ..tipo.expansion import Expansion, Request
from ..tipo.options import ExpandOptions


@dataclass(frozen=True)
class Settings:
    """What is asked of the model, and in how many separate runs (`seeds`)."""

    prompt: str = "scenery, wide shot"
    counts: tuple[int, ...] = (64, 256)
    seeds: int = 3
    tag_length: str = "long"
    temperature: float = 1.0
    min_p: float = 0.1

    def __post_init__(self):
        if not self.counts or min(self.counts) < 2 or self.seeds < 1:
            raise ValueError(
                f"counts must be at least 2 and seeds at least 1, got {self.counts} and {self.seeds}"
            )

    @property
    def options(self) -> ExpandOptions:
        return ExpandOptions(
            tag_length=self.tag_length,
            prose_length="none",
            temperature=self.temperature,
            top_k=0,
            top_p=1.0,
            min_p=self.min_p,
        )


@dataclass(frozen=True)
class Result:
    """Variations got in one way; Vendi scores are of `tags` and of runs of `words`."""

    count: int
    way: str
    variations: float
    tokens: float
    tags: float
    words: float
    distinct: float
    seconds: float


def measure(tipo: Tipo, settings: Settings, on_run: Callable[[], None] = lambda: None) -> list[Result]:
    """Returns the results of every count and way; `on_run` is called after each expansion."""
    found = []
    for count in settings.counts:
        runs = [_run(tipo, settings, count, seed, on_run) for seed in range(settings.seeds)]
        found += [_mean(results) for results in zip(*runs, strict=True)]
    return found


def _run(tipo: Tipo, settings: Settings, count: int, seed: int, on_run: Callable[[], None]) -> list[Result]:
    """Returns the results of one seed, which stands for `count` seeds of the variations."""
    made = {}
    for way in ("independent", "tree"):
        options = replace(settings.options, variety=way, seed=seed * count)
        begin = time.perf_counter()
        expansions = expand_many(Request(settings.prompt, options=options), count, tipo)
        made[way] = _result(count, way, expansions, time.perf_counter() - begin)
        if way == "independent":
            separate = expansions
        on_run()
    share = min(1.0, made["tree"].tokens / made["independent"].tokens)
    fewer = _result(
        count, "fewer", separate[: max(1, round(share * count))], share * made["independent"].seconds
    )
    return [made["independent"], made["tree"], replace(fewer, tokens=share * made["independent"].tokens)]


def _result(count: int, way: str, expansions: Sequence[Expansion], seconds: float) -> Result:
    lists = [list(_added(expansion)) for expansion in expansions]
    return Result(
        count,
        way,
        variations=len(expansions),
        tokens=sum(report.tokens for report in expansions[0].passes),
        tags=vendi_score(cosine_kernel([Counter(tags) for tags in lists])),
        words=vendi_score(cosine_kernel([ngrams(", ".join(tags)) for tags in lists])),
        distinct=len({frozenset(tags) for tags in lists}),
        seconds=seconds,
    )


def _added(expansion: Expansion) -> Iterator[str]:
    for region in expansion.regions:
        for tags in region.added_tags.values():
            yield from tags


def _mean(results: Sequence[Result]) -> Result:
    first, *_ = rows = [asdict(result) for result in results]
    return Result(
        **{
            key: value if key in ("count", "way") else statistics.mean(row[key] for row in rows)
            for key, value in first.items()
        }
    )


def table(results: Sequence[Result]) -> str:
    """Returns the results in Markdown; percentages are of the variations drawn by themselves."""
    lines = [
        "| N | way | variations | tokens | Vendi, tags | Vendi, words | distinct | seconds |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    whole = {result.count: result for result in results if result.way == "independent"}
    for result in results:
        base = whole[result.count]
        cells = [str(result.count), result.way, f"{result.variations:.0f}"]
        for name, digits in (("tokens", 0), ("tags", 1), ("words", 1)):
            value = getattr(result, name)
            part = f" ({value / getattr(base, name):.0%})" if result is not base else ""
            cells.append(f"{value:.{digits}f}{part}")
        lines.append("| " + " | ".join([*cells, f"{result.distinct:.0f}", f"{result.seconds:.1f}"]) + " |")
    return "\n".join(lines)
