"""Writing text with a decoder: rows of different prompts and lengths, each steered by its own guide.

A row is its prompt and what was written; the cache holds the keys and values of all but its last token, so
going back n tokens is forgetting n numbers. A row's text depends on its prompt, guide and generator alone.
"""

from bisect import bisect
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from ..interrupt import Interrupted
from .graph import GraphedStep
from .llama import Cache, Span
from .sampling import Sampling, candidates, draw, penalize_

if TYPE_CHECKING:
    from .checkpoint import LanguageModel

EXTENT_STEP = 16  # cached tokens are looked at in multiples of this
READ_TOGETHER = 1024  # tokens of prompts, or one longer prompt: it bounds the memory


class Guide(Protocol):
    """Steers one row while it is written."""

    done: bool
    """True when nothing more is to be written."""

    def forbidden(self) -> Sequence[int]:
        """Returns the tokens that may not come next."""

    def take(self, token: int, chance: float) -> int:
        """Takes the drawn token and its probability; returns how many tokens, this one too, to take back."""

    def stop(self) -> None:
        """Nothing more can be written: the limit, the context or the last allowed token was reached."""


@dataclass(eq=False)
class Row:
    """One text being written: the tokens of its prompt, then those that were drawn and kept.

    A text that was begun before goes on where `tokens`, its prompt among them, end. With `afresh` it makes no
    use of what its place in a cache holds, as the first row there does.
    """

    prompt: Sequence[int]
    guide: Guide
    generator: torch.Generator
    tokens: list[int] = field(default_factory=list)
    draws: int = 0
    repetition_penalty: float = 1.0
    afresh: bool = False

    def __post_init__(self):
        if not self.prompt:
            raise ValueError("a prompt must have at least one token, such as the one that begins a text")
        self.tokens = list(self.tokens or self.prompt)

    @property
    def written(self) -> list[int]:
        return self.tokens[len(self.prompt) :]


class Session:
    """A cache for up to `size` rows of `length` tokens, kept between the passes of one request."""

    def __init__(self, language: "LanguageModel", size: int, length: int):
        self.language, self.model, self.length = language, language.model, length
        self.cache = Cache(self.model.config, size, length, device=language.device, dtype=self.model.dtype)
        self.cached: list[Sequence[int]] = [()] * size  # the tokens whose keys each row holds
        self.graph = GraphedStep(self.model, self.cache) if language.device.type == "cuda" else None

    def grown(self, length: int) -> "Session":
        """Returns a session for longer texts that holds what this one does."""
        other = Session(self.language, self.cache.batch, length)
        for index, tokens in enumerate(self.cached):
            other.cache.copy_row(self.cache, index, len(tokens), of=index)
        other.cached = list(self.cached)
        return other

    def prefill(self, rows: Sequence[Row], *, place: int = 0) -> Tensor:
        """Returns the logits (b, v) that follow each row's prompt; equal prompts are read once.

        The rows lie in the cache from `place` on. What a row of the cache already holds of its next prompt is
        not computed again. Rows share a reading only where each by itself would have read the same tokens, so
        its numbers are those it has alone.
        """
        if any(row.written for row in rows):
            return self._resume(rows)
        spans, sources = [], {}
        for index, row in enumerate(rows, place):
            prompt = tuple(row.prompt)
            known = 0 if row.afresh else min(_common(self.cached[index], prompt), len(prompt) - 1)
            source = sources.setdefault((prompt, known), Source(index, len(spans)))
            source.rows.append(index)
            if source.row == index:
                spans.append(Span(index, prompt[known:], known))
            self.cached[index] = prompt
        logits = self._read(spans)
        places = torch.empty(len(rows), dtype=torch.long)
        for (prompt, _), source in sources.items():
            for index in source.rows:
                places[index - place] = source.place
                if index != source.row:
                    self.cache.copy_row(self.cache, index, len(prompt), of=source.row)
        return logits[places.to(logits.device)]

    def _resume(self, rows: Sequence[Row]) -> Tensor:
        """Returns the logits (b, v) after texts begun before; each takes over what any row holds of it."""
        texts = [tuple(row.tokens) for row in rows]
        sources, known = zip(*map(self._nearest(), texts), strict=True)
        self.cache.take_rows(sources, max(known))
        spans = [Span(i, text[k:-1], k) for i, (text, k) in enumerate(zip(texts, known, strict=True))]
        self._read([span for span in spans if span.tokens])
        return self.step(rows)

    def _nearest(self) -> Callable[[tuple[int, ...]], tuple[int, int]]:
        """Returns a function from a text to the row that holds most of it, and how much, short of its end."""
        held = sorted((tuple(tokens), index) for index, tokens in enumerate(self.cached))

        def find(text: tuple[int, ...]) -> tuple[int, int]:
            place = bisect(held, (text,))  # in this order nothing shares more with a text than its neighbours
            near = held[max(place - 1, 0) : place + 1]
            known, index = max((_common(tokens, text), index) for tokens, index in near)
            return index, min(known, len(text) - 1)

        return find

    def _read(self, spans: Sequence[Span]) -> Tensor:
        """Returns the logits (s, v) that follow each span; some are read together, each as if alone."""
        for span in spans:
            if span.end > self.length:
                raise ValueError(
                    f"a prompt must fit {self.length} tokens, got {span.end}; shorten the prompt"
                )
        hidden = [self.model.read(part, self.cache) for part in _chunks(spans)]
        return self.model.head(torch.cat(hidden)).float() if hidden else torch.empty(0)

    def step(self, rows: Sequence[Row]) -> Tensor:
        """Returns the logits (b, v) after the last token of each row; rows lie in the cache in this order."""
        for index, row in enumerate(rows):
            self.cached[index] = tuple(row.tokens)
        last = [row.tokens[-1] for row in rows]
        positions = [len(row.tokens) - 1 for row in rows]
        if self.graph:
            # It always writes to every row of the cache: to the rows that rest, where no text is looked for.
            idle = self.cache.batch - len(rows)
            return self.graph(last + [0] * idle, positions + [self.length - 1] * idle)[: len(rows)]
        extent = min(-(-(max(positions) + 1) // EXTENT_STEP) * EXTENT_STEP, self.length)
        tokens = torch.tensor(last)[:, None]
        hidden = self.model(tokens, self.cache, torch.tensor(positions)[:, None], extent=extent)
        return self.model.head(hidden[:, 0]).float()

    def arrange(self, places: Sequence[int]) -> None:
        """Lets row i have what row places[i] held; what is in none of the places is given up."""
        at = list(range(self.cache.batch))  # what each row holds now
        for index, place in enumerate(places):
            now = at.index(place)
            if now != index:
                self._swap(index, now)
                at[index], at[now] = at[now], at[index]

    def keep(self, rows: list[Row], kept: list[Row]) -> None:
        """Moves the cache rows of `kept` to the front, in their order; the others' follow."""
        for index, row in enumerate(kept):
            place = rows.index(row)
            if place != index:
                self._exchange(rows, index, place)

    def gather(self, rows: list[Row], going: Collection[Row], fresh: Collection[Row]) -> None:
        """Moves those that go on to the front and the fresh ones behind them, with the fewest moves."""
        begin = 0
        for group in (frozenset(going), frozenset(fresh)):
            end, last = begin + len(group), len(rows) - 1
            for index in range(begin, end):
                if rows[index] not in group:
                    while rows[last] not in group:
                        last -= 1
                    self._exchange(rows, index, last)
            begin = end

    def _exchange(self, rows: list[Row], one: int, other: int) -> None:
        self._swap(one, other)
        rows[one], rows[other] = rows[other], rows[one]

    def _swap(self, one: int, other: int) -> None:
        self.cache.swap_rows(one, other, max(len(self.cached[one]), len(self.cached[other])))
        self.cached[one], self.cached[other] = self.cached[other], self.cached[one]


@dataclass
class Source:
    """Where a prompt is read, its place among all that are, and every row that is to have it."""

    row: int
    place: int
    rows: list[int] = field(default_factory=list)


def _chunks(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Yields spans to be read together, in their order."""
    chunk: list[Span] = []
    for span in spans:
        if chunk and sum(len(each.tokens) for each in (*chunk, span)) > READ_TOGETHER:
            yield chunk
            chunk = []
        chunk.append(span)
    if chunk:
        yield chunk


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Returns how many tokens two texts share from the start."""
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count


def decode(
    session: Session,
    rows: Sequence[Row],
    sampling: Sampling,
    *,
    max_new_tokens: int,
    unpenalized: Collection[int] = (),
    should_stop: Callable[[], bool] | None = None,
    on_step: Callable[[], None] | None = None,
    refill: Callable[[], Sequence[tuple[Row, Row]]] | None = None,
) -> list[Row]:
    """Writes all rows until their guides are done; afterwards the guides hold what was written.

    The repetition penalty acts on what was written, except on `unpenalized` tokens such as separators.
    Raises Interrupted within one token of `should_stop` returning True. `on_step` is called after each token.
    `refill` is asked behind it for rows to write in the place of finished ones, as pairs of both; a row may
    begin while others are being written. Returns the last rows in the order in which they lie in the cache.
    """
    never = torch.tensor(sorted(session.language.never), device=session.language.device)
    with torch.inference_mode():
        order = list(rows)
        active = [row for row in order if not row.guide.done]
        logits = session.prefill(order)[[not row.guide.done for row in order]] if active else None
        while active:
            if should_stop and should_stop():
                raise Interrupted("prompt expansion was interrupted")
            _advance(active, logits.index_fill_(1, never, float("-inf")), sampling, unpenalized)
            for row in active:
                full = len(row.written) >= max_new_tokens or row.draws >= 2 * max_new_tokens
                if not row.guide.done and (full or len(row.tokens) >= session.length):
                    row.guide.stop()
            if on_step:
                on_step()
            going = [row for row in active if not row.guide.done]
            fresh = _put_in(order, refill()) if refill else []
            active = order[: len(going) + len(fresh)]
            if active:
                session.gather(order, going, fresh)
                active = order[: len(active)]
                logits = _logits(session, active[: len(going)], active[len(going) :])
        if not refill:
            session.keep(order, list(rows))  # each finds its own cache again in the next pass
        return order


def _put_in(order: list[Row], pairs: Sequence[tuple[Row, Row]]) -> list[Row]:
    """Puts rows in the places of finished ones; returns those of them that are to be written."""
    for old, new in pairs:
        order[order.index(old)] = new
    return [new for _, new in pairs if not new.guide.done]


def _logits(session: Session, going: Sequence[Row], fresh: Sequence[Row]) -> Tensor:
    """Returns the logits of rows that go on and of rows that begin, which lie behind them."""
    parts = [session.step(going)] if going else []
    return torch.cat([*parts, session.prefill(fresh, place=len(going))]) if fresh else parts[0]


def _advance(rows: Sequence[Row], logits: Tensor, sampling: Sampling, unpenalized: Collection[int]) -> None:
    """Draws one token for each row and lets its guide take it."""
    penalties = [row.repetition_penalty for row in rows]
    seen = [set(row.written).difference(unpenalized) if row.repetition_penalty != 1.0 else () for row in rows]
    penalize_(logits, seen, penalties)
    forbidden = [index * logits.shape[1] + t for index, row in enumerate(rows) for t in row.guide.forbidden()]
    logits.view(-1).index_fill_(0, torch.tensor(forbidden, dtype=torch.long).to(logits.device), float("-inf"))
    values, tokens = candidates(logits, sampling.top_k)
    uniform = torch.stack([torch.rand((), generator=row.generator) for row in rows])
    places, chances = draw(values, sampling, uniform)
    drawn = tokens.gather(1, torch.tensor(places)[:, None]).flatten().tolist()
    possible = (values[:, 0] > float("-inf")).tolist()
    for index, (row, token) in enumerate(zip(rows, drawn, strict=True)):
        row.draws += 1
        if not possible[index]:
            row.guide.stop()
            continue
        row.tokens.append(token)
        back = row.guide.take(token, chances[index])
        if back:
            del row.tokens[-back:]
