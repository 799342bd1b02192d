"""Which job the host is at, so that what other scripts run inside it is told from jobs of their own.

Detailers do so while its pictures are made: they call all scripts on a copy of the job, and make pictures of
parts of a picture, of the job's prompt or another. Those prompts have been expanded already, and the
infotexts of copies, and of many of those parts, are the job's own.
"""

import weakref
from typing import Any


def _none() -> None:
    return None


class Current:
    """The job whose pictures are being made. One that failed is over with the host's next task."""

    def __init__(self):
        self._job, self._task = _none, None

    def begin(self, p: Any) -> None:
        """Notes that the pictures of a job are made, unless it is inside another."""
        if not self.has(p):
            self._job, self._task = weakref.ref(p), _task()

    def end(self, p: Any) -> None:
        """Notes that a job is done; a copy of one is not."""
        if self._job() is p:
            self._job = _none

    def has(self, p: Any) -> bool:
        """Returns whether `p` is a pass inside of the current job, or a copy of it."""
        job = self._job()
        return job is not None and job is not p and self._task == _task()


def _task() -> Any:
    """When the host's task began."""
    from modules import shared

    return getattr(shared.state, "job_timestamp", None)


CURRENT = Current()
