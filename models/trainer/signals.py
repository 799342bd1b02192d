"""Ctrl-C and SIGTERM as a wish that is granted between two steps, when everything fits together."""

import logging
import signal
import threading


class Wish:
    """A context in which the first signal sets `stop`; the second does what it would have done without."""

    def __init__(self) -> None:
        self.stop = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Wish":
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)
            }
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _hear(self, number: int, frame) -> None:
        self.stop = True
        logging.getLogger("presample").info("stopping after this step; once more to stop without saving")
        self.__exit__()
