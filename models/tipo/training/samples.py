"""Training samples of TIPO: one record becomes a request and the answer to it, in the format of `wire`.

Convention: T_s are the tags given, T_d all tags of the sample; T_s is a prefix of T_d. A sample's `start` is
the index of the first character of the output. Every draw comes from the generator passed in.
Source: specification 1.12 (UwULLM and KohakUwULLM, the training code of TIPO v1 and v2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from ...prompt.sentences import split_sentences
from .. import wire
from ..lengths import LIMITS, PARAGRAPHS, bucket

TOTAL_DROP = 0.10  # no metadata, no general tag given
INFO_DROP = 0.30  # otherwise: each line of metadata is kept with KEEP_INFO
KEEP_INFO = 0.65
GEN_META = 0.30  # only where nothing was dropped: some metadata is written after the output
WHOLE_LOSS = 0.70  # the loss covers the request too


@dataclass(frozen=True)
class Record:
    """What is known of one picture: its tags by category, a short and a long caption, width over height."""

    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    short: str = ""
    long: str = ""
    aspect_ratio: str = ""


@dataclass(frozen=True)
class Habits:
    """What people do and training data does not; the default is the published construction.

    `mix` is the chance that `strangers`, words the world does not know, stand in the given field, and `early`
    the chance that the tags end where the given ones do and prose follows at once; `rough` is the chance that
    given prose has no capitals and no last full stop. In all of these cases the loss covers the output only.
    """

    strangers: Sequence[str] = ()
    mix: float = 0.0
    early: float = 0.0
    rough: float = 0.0


@dataclass(frozen=True)
class Sample:
    """One training text. `text[:start]` is the request, `text[start:]` the answer, EOS follows."""

    text: str
    start: int
    whole: bool
    task: str | None
    length: str
    given: tuple[str, ...]
    withheld: tuple[str, ...]

    @property
    def loss_start(self) -> int:
        """The first character that the loss covers."""
        return 0 if self.whole else self.start


@dataclass(frozen=True)
class _Parts:
    """The fields of one sample before they become text."""

    length: str
    special: tuple[str, ...]
    given: tuple[str, ...]
    withheld: tuple[str, ...]
    short: str
    long: str

    def content(self, key: str) -> str:
        if key != "tag":
            return getattr(self, key)
        return ", ".join((*self.special, *self.given, *self.withheld))


def candidates(*, tags: bool, short: bool, long: bool) -> tuple[str, ...]:
    """Returns the tasks a record can be used for; the three of three fields are there twice."""
    if not tags:
        return ("short_to_long",) if short and long else ()
    both = ("tag_to_short_to_long", "short_to_tag_to_long", "short_to_long_to_tag") * 2
    return (
        (("tag_to_long", "long_to_tag") if long else ())
        + (("short_to_tag",) if short else ())
        + (both if short and long else ())
    )


def build(record: Record, generator: torch.Generator, *, habits: Habits | None = None) -> Sample:
    """Returns one training sample of a record.

    Raises:
        ValueError: the record has neither tags nor both captions, so no task can use it.
    """
    special, general = record.tags.get("special", ()), record.tags.get("general", ())
    options = candidates(tags=bool(special or general), short=bool(record.short), long=bool(record.long))
    if not options and not (special or general):
        raise ValueError("a record must have tags, or a short and a long caption; this one has neither")
    task = _choose_task(options, generator)
    total_drop = _chance(generator, TOTAL_DROP)
    habits = habits or Habits()
    mixed = bool(habits.strangers) and _chance(generator, habits.mix)
    strangers = _choose(habits.strangers, 1 + _integer(generator, 3), generator) if mixed else []
    parts = _split(record, generator, task=task, total_drop=total_drop, strangers=strangers)
    first = wire.find_task(task).fields[0]
    if rough := first != "tag" and _chance(generator, habits.rough):
        parts = replace(parts, **{first: parts.content(first).lower().rstrip(".")})
    early = _may_end_early(task, parts) and _chance(generator, habits.early)
    sample = _write(record, parts, generator, task=task, total_drop=total_drop, early=early)
    whole = _chance(generator, WHOLE_LOSS) and not (mixed or rough or early)
    return Sample(whole=whole, **sample)


def _may_end_early(task: str | None, parts: _Parts) -> bool:
    """Prose follows the tags, and there are some."""
    fields = wire.find_task(task).fields
    return "tag" in fields[:-1] and bool(parts.special or parts.given)


def _choose_task(options: Sequence[str], generator: torch.Generator) -> str | None:
    """One of n candidates, or none at all with probability 1 / (n + 1); a pair of captions has no choice."""
    if options == ("short_to_long",):
        return "short_to_long"
    choice = _integer(generator, len(options) + 1)
    return None if choice == len(options) else options[choice]


def _split(
    record: Record,
    generator: torch.Generator,
    *,
    task: str | None,
    total_drop: bool,
    strangers: Sequence[str],
) -> _Parts:
    """Steps 1, 2 and 4: which tags are given, which withheld, and how much prose the length allows."""
    first = wire.find_task(task).fields[0]
    words = strangers if first == "tag" else ()
    general = record.tags.get("general", ())
    shuffled = [general[i] for i in torch.randperm(len(general), generator=generator).tolist()]
    length = bucket(len(general) + len(words))
    count = min(LIMITS[length].max_tags - len(words), len(general))
    n_given = 0 if total_drop else 1 + _integer(generator, max(3 * count // 5, 1) + 1)
    given = shuffled[: min(n_given, count)]
    withheld = tuple(shuffled[len(given) : count])
    for word in words:
        given.insert(_integer(generator, len(given) + 1), word)
    paragraphs, sentences = PARAGRAPHS[length]
    prose = {
        "short": trim(record.short, 1, sentences=sentences, generator=generator),
        "long": trim(record.long, paragraphs, sentences=sentences, generator=generator),
    }
    if first != "tag" and strangers:
        prose[first] = f"{prose[first].removesuffix('.')}, {', '.join(strangers)}."
    return _Parts(length, record.tags.get("special", ()), tuple(given), withheld, **prose)


def trim(text: str, paragraphs: int, *, sentences: int, generator: torch.Generator) -> str:
    """Returns at most so many paragraphs of so many sentences: the first ones, the rest drawn, in order."""
    kept = _keep_first([p for p in text.split("\n") if p.strip()], paragraphs, generator)
    return "\n".join(" ".join(_keep_first(split_sentences(p), sentences, generator)) for p in kept)


def _write(
    record: Record,
    parts: _Parts,
    generator: torch.Generator,
    *,
    task: str | None,
    total_drop: bool,
    early: bool,
) -> dict:
    """Steps 3, 6 and 7: metadata, target line, the given part and the output."""
    lines = [] if total_drop else _metadata(record)
    info_drop = not total_drop and _chance(generator, INFO_DROP)
    if info_drop:
        lines = [line for line in lines if _chance(generator, KEEP_INFO)]
    lines = [lines[i] for i in torch.randperm(len(lines), generator=generator).tolist()]
    gen_meta = bool(lines) and not info_drop and not total_drop and _chance(generator, GEN_META)
    kept = _kept_lines(len(lines), generator) if gen_meta else len(lines)
    if early:
        parts = replace(parts, withheld=())
    given, answer = _content(parts, wire.find_task(task).fields, early=early)
    request = "\n".join([*lines[:kept], wire.target(task, parts.length, gen_meta=gen_meta), *given])
    return {
        "text": request + answer + "".join(f"\n{line}" for line in lines[kept:]),
        "start": len(request),
        "task": task,
        "length": parts.length,
        "given": (*parts.special, *parts.given),
        "withheld": parts.withheld,
    }


def _content(parts: _Parts, fields: Sequence[str], *, early: bool) -> tuple[list[str], str]:
    """The lines given, and what follows the last of them: the rest of the tags, or a field just opened."""
    lines = [f"{key}: {parts.content(key)}" for key in fields]
    if early:
        opened = fields.index("tag") + 1
        given = [*lines[:opened], f"{fields[opened]}:"]
    elif fields[0] == "tag":
        tags = ", ".join((*parts.special, *parts.given))
        given = [f"tag: {tags}" if tags else "tag:"]
    else:
        given = lines[:1]
    return given, "\n".join(lines).removeprefix("\n".join(given))


def _metadata(record: Record) -> list[str]:
    lines = [f"{key}: {', '.join(record.tags[key])}" for key in wire.METADATA if record.tags.get(key)]
    return lines + ([f"{wire.ASPECT_RATIO}: {record.aspect_ratio}"] if record.aspect_ratio else [])


def _kept_lines(count: int, generator: torch.Generator) -> int:
    """How many lines of metadata a gen_meta sample gives: max(1, min(U * m, m - 1)), all of a single one."""
    return int(max(1, min(_uniform(generator) * count, count - 1)))


def _keep_first(items: list[str], count: int, generator: torch.Generator) -> list[str]:
    return items if len(items) <= count else items[:1] + _choose(items[1:], count - 1, generator)


def _choose(items: Sequence[str], count: int, generator: torch.Generator) -> list[str]:
    """`count` of the items without replacement, in their order."""
    chosen = torch.randperm(len(items), generator=generator)[:count].tolist()
    return [items[i] for i in sorted(chosen)]


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def _chance(generator: torch.Generator, probability: float) -> bool:
    return _uniform(generator) < probability


def _integer(generator: torch.Generator, count: int) -> int:
    return int(torch.randint(count, (), generator=generator))
