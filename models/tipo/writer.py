"""Writing the rows of one or more requests together, in one session that is kept between their passes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..lm.checkpoint import LanguageModel
from ..lm.decode import Row, Session, decode
from ..lm.sampling import Sampling
from .expansion import ShouldStop
from .options import ExpandOptions


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


class Writer:
    """Writes up to `size` rows at a time, all with the same sampling."""

    def __init__(
        self, language: LanguageModel, options: ExpandOptions, size: int, should_stop: ShouldStop | None
    ):
        self.language, self.options, self.size, self.should_stop = language, options, size, should_stop
        self.sampling = Sampling(options.temperature, options.top_k, options.top_p, options.min_p)
        self.session: Session | None = None

    def run(self, runs: Sequence[Iterator[Work]]) -> None:
        """Writes all works of several requests, each going on as soon as its own rows are written."""
        begun = [Run(run, work) for run in runs if (work := next_work(run))]
        while begun:
            session = self.room_for(max(len(row.prompt) for run in begun for row in run.work.rows))
            begun = self._together(begun, session)

    def _together(self, running: list[Run], session: Session) -> list[Run]:
        """Writes for as long as prompts fit into the session; returns the runs whose next prompt does not."""
        held: list[Run] = []

        def on_step() -> None:
            for run in running:
                run.work.on_step()

        def refill() -> list[tuple[Row, Row]]:
            pairs = []
            for run in [run for run in running if run.work.done]:
                written, run.work = run.work, next_work(run.works)
                if run.work is None or not self.fits(run.work, session):
                    running.remove(run)
                    run.before = written
                    held.extend([run] if run.work else [])
                else:
                    pairs += zip(written.rows, run.work.rows, strict=True)
            return pairs

        rows = [row for run in running for row in run.work.rows]
        order = self._decode(session, rows, on_step, refill)
        session.arrange([order.index(row) for run in held for row in run.before.rows])
        return held

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
        length = min(context, prompt + self.options.max_new_tokens)
        if self.session is None:
            self.session = Session(self.language, self.size, rounded(length, context))
        elif self.session.length < length:
            # What a row knows must not depend on how long the others are, or its numbers would, too.
            self.session = self.session.grown(rounded(length, context))
        return self.session


def rounded(length: int, context: int) -> int:
    """Returns a length of a session: few different ones, and none beyond the context."""
    return min(context, -(-length // 256) * 256)
