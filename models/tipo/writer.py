"""Writing the rows of one or more requests together, in one session that is kept between their passes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..lm.checkpoint import LanguageModel
from ..lm.decode import Row, Session, decode
from ..lm.sampling import Sampling
from .expansion import ShouldStop
from .options import ExpandOptions

READ_SHARE = 16  # one run in so many must have its rows written before new ones begin in their places


@dataclass
class Work:
    """The rows of one pass of one request; `on_step` is called after each token while they are written."""

    rows: Sequence[Row]
    on_step: Callable[[], None]

    @property
    def done(self) -> bool:
        return all(row.guide.done for row in self.rows)


@dataclass(eq=False)
class Run:
    """A request on its way: the work it is at, and what was written `before` it."""

    works: Iterator[Work]
    work: Work | None
    before: Work | None = None


def next_work(works: Iterator[Work]) -> Work | None:
    """Returns the next work that has something to write; the others are told so once."""
    for work in works:
        if not work.done:
            return work
        work.on_step()
    return None


def begin(waiting: Iterator[Iterator[Work]]) -> Run | None:
    """Returns the next of the waiting requests that has something to write, with rows that know nothing."""
    for works in waiting:
        if work := next_work(works):
            for row in work.rows:
                row.afresh = True
            return Run(works, work)
    return None


class Writer:
    """Writes up to `size` rows at a time, all with the same sampling.

    `length` is the least of the tokens that its session has room for in a row.
    """

    def __init__(
        self,
        language: LanguageModel,
        options: ExpandOptions,
        size: int,
        should_stop: ShouldStop | None,
        *,
        length: int = 0,
    ):
        self.language, self.options, self.size, self.should_stop = language, options, size, should_stop
        self.sampling = Sampling(options.temperature, options.top_k, options.top_p, options.min_p)
        self.length = length
        self.session: Session | None = None

    def run(self, runs: Iterable[Iterator[Work]]) -> None:
        """Writes all works of many requests, each going on as soon as its own rows are written.

        A request whose rows find no place waits for one that ends, which must have as many rows.
        """
        waiting, begun = iter(runs), []
        while True:
            rows = sum(len(run.work.rows) for run in begun)
            while (begun == [] or rows + len(begun[-1].work.rows) <= self.size) and (run := begin(waiting)):
                begun.append(run)
                rows += len(run.work.rows)
            if not begun:
                return
            session = self.room_for(max(len(row.prompt) for run in begun for row in run.work.rows))
            begun = self._together(begun, session, waiting)

    def _together(self, running: list[Run], session: Session, waiting: Iterator[Iterator[Work]]) -> list[Run]:
        """Writes for as long as prompts fit into the session; returns the runs whose next prompt does not.

        Those that wait take the places of the ended, until a prompt does not fit.
        """
        held: list[Run] = []

        def on_step() -> None:
            for run in running:
                run.work.on_step()

        def refill() -> list[tuple[Row, Row]]:
            pairs = []
            done = [run for run in running if run.work.done]
            # Prompts are read faster together; until there are some, their places are empty.
            for run in done if len(done) * READ_SHARE >= len(running) else []:
                written, after = run.work, self._after(run, [] if held else waiting)
                if after is None or not self.fits(after.work, session):
                    running.remove(run)
                    if after:
                        after.before = written
                        held.append(after)
                else:
                    running[running.index(run)] = after
                    pairs += zip(written.rows, after.work.rows, strict=True)
            return pairs

        rows = [row for run in running for row in run.work.rows]
        order = self._decode(session, rows, on_step, refill)
        session.arrange([order.index(row) for run in held for row in run.before.rows])
        return held

    def _after(self, run: Run, waiting: Iterable[Iterator[Work]]) -> Run | None:
        """Returns the run at its next work, or where there is none the next of those that wait."""
        work = next_work(run.works)
        return Run(run.works, work) if work else begin(iter(waiting))

    def fits(self, work: Work, session: Session) -> bool:
        """Returns whether the session has room for the prompts and what may be written behind them."""
        wanted = max(len(row.prompt) for row in work.rows) + self.options.max_new_tokens
        return min(wanted, self.language.config.context) <= session.length

    def write(self, rows: Sequence[Row], on_step: Callable[[], None]) -> None:
        """Writes the rows; where nothing is to be written there is one call of `on_step` all the same."""
        if all(row.guide.done for row in rows):
            return on_step()
        session = self.room_for(max(len(row.prompt) for row in rows))
        self._decode(session, rows, on_step)

    def _decode(self, session: Session, rows: Sequence[Row], on_step, refill=None) -> list[Row]:
        return decode(
            session,
            rows,
            self.sampling,
            unpenalized=self.language.separators,
            max_new_tokens=self.options.max_new_tokens,
            should_stop=self.should_stop,
            on_step=on_step,
            refill=refill,
        )

    def room_for(self, prompt: int) -> Session:
        """Returns the session, made larger when a prompt needs it."""
        context = self.language.config.context
        length = min(context, max(self.length, prompt + self.options.max_new_tokens))
        if self.session is None:
            self.session = Session(self.language, self.size, rounded(length, context))
        elif self.session.length < length:
            # What a row knows must not depend on how long the others are, or its numbers would, too.
            self.session = self.session.grown(rounded(length, context))
        return self.session


def rounded(length: int, context: int) -> int:
    """Returns a length of a session: few different ones, and none beyond the context."""
    return min(context, -(-length // 256) * 256)
