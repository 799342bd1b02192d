"""Writing the rows of one or more requests together, in one session that is kept between their passes."""

from collections.abc import Callable, Sequence
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


class Writer:
    """Writes up to `size` rows at a time, all with the same sampling."""

    def __init__(
        self, language: LanguageModel, options: ExpandOptions, size: int, should_stop: ShouldStop | None
    ):
        self.language, self.options, self.size, self.should_stop = language, options, size, should_stop
        self.sampling = Sampling(options.temperature, options.top_k, options.top_p, options.min_p)
        self.session: Session | None = None

    def write_all(self, works: Sequence[Work]) -> None:
        """Writes the rows of all works, as one batch."""
        open_works = list(works)

        def on_step() -> None:
            for work in open_works:
                work.on_step()
            open_works[:] = [w for w in open_works if not all(row.guide.done for row in w.rows)]

        self.write([row for work in works for row in work.rows], on_step)

    def write(self, rows: Sequence[Row], on_step: Callable[[], None]) -> None:
        """Writes the rows; where nothing is to be written there is one call of `on_step` all the same."""
        if all(row.guide.done for row in rows):
            return on_step()
        decode(
            self.room_for(max(len(row.prompt) for row in rows)),
            rows,
            self.sampling,
            unpenalized=self.language.separators,
            max_new_tokens=self.options.max_new_tokens,
            should_stop=self.should_stop,
            on_step=on_step,
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

    def stay(self, going_on: Sequence[bool]) -> None:
        """Says which rows are written again later; the others are given up, and those behind them move up."""
        if self.session is not None:
            self.session.arrange([place for place, stays in enumerate(going_on) if stays])


def rounded(length: int, context: int) -> int:
    """Returns a length of a session: few different ones, and none beyond the context."""
    return min(context, -(-length // 256) * 256)
