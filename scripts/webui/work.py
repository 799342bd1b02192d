"""What takes its time, in a thread of its own, while a button's handler looks how far it is.

Convention: the end of the handler, whichever, stops the thread; gradio ends it when its page is closed.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ...models.interrupt import Interrupted

SECONDS = 0.25  # between two looks; a host's page takes its time over each

Tell = Callable[[Any], None]
ShouldStop = Callable[[], bool]


class Work:
    """One run of a function, which is given whom to tell how far it is, and whether to stop.

    Iterating gives what it tells, and `made` is what it returned in the end.
    """

    def __init__(self, run: Callable[[Tell, ShouldStop], Any]):
        self.run = run
        self.stopped, self.events = threading.Event(), queue.SimpleQueue()
        self.made: Any = None

    def __iter__(self) -> Iterator[list]:
        """Yields what was told since the last look; raises what the run raises, Interrupted when stopped."""
        threading.Thread(target=self._run, name="presample", daemon=True).start()
        news, due = [], 0.0
        try:
            while True:
                kind, said = self._next(due if news else None)
                if kind == "made":
                    self.made = said
                    return
                if kind == "failed":
                    raise said
                if kind == "told":
                    news.append(said)
                if time.monotonic() >= due:
                    yield news
                    news, due = [], time.monotonic() + SECONDS
        finally:
            self.stopped.set()

    def stop(self) -> None:
        """Ends it, also while it waits for something."""
        self.stopped.set()
        self.events.put(("failed", Interrupted()))

    def _run(self) -> None:
        try:
            self.events.put(("made", self.run(self._tell, self.stopped.is_set)))
        except Exception as error:  # it is raised again in the handler
            self.events.put(("failed", error))

    def _tell(self, said: Any) -> None:
        self.events.put(("told", said))

    def _next(self, until: float | None) -> tuple[str | None, Any]:
        """The next event; none where there is none until then."""
        try:
            return self.events.get(timeout=until and max(0.0, until - time.monotonic()))
        except queue.Empty:
            return None, None


class Running:
    """What runs for one page: a `gr.State` gives every page a copy of its own."""

    def __init__(self):
        self.works: list[Work] = []

    def follow(self, work: Work) -> Iterator[list]:
        """Yields what a work tells, which can be stopped meanwhile; raises as iterating it does."""
        self.works.append(work)
        try:
            yield from work
        finally:
            self.works.remove(work)

    def stop(self) -> None:
        """Stops all of it."""
        for work in list(self.works):
            work.stop()
