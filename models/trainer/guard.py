"""The guard against spikes of the loss: it says which updates to leave out.

A loss is a spike when it exceeds EMA + 6 MAD: the running mean of the losses, and the median distance of the
latest ones to their median. At most 1 % of all steps are left out, so that a loss which has risen for good
(a new stage, other data) cannot stop the training. Source: specification 2.8.
"""

import math
from collections import deque
from statistics import median

DECAY = 0.99
WINDOW = 256  # losses whose spread is taken
FEWEST = 100  # losses seen before the first one can be a spike
FACTOR = 6.0
SHARE = 0.01


class Guard:
    """Sees the loss of every step."""

    def __init__(self) -> None:
        self.seen = 0
        self.skipped = 0
        self.mean = 0.0
        self.latest: deque[float] = deque(maxlen=WINDOW)

    @property
    def limit(self) -> float:
        """What the next loss may reach; infinite until enough losses were seen."""
        if self.seen < FEWEST:
            return math.inf
        middle = median(self.latest)
        return self.mean + FACTOR * median(abs(loss - middle) for loss in self.latest)

    def skips(self, loss: float) -> bool:
        """Returns whether to leave out this step's update; remembers the loss if not."""
        limit = self.limit
        self.seen += 1
        if loss > limit and self.skipped + 1 <= SHARE * self.seen:
            self.skipped += 1
            return True
        # A plain mean until there are as many losses as the decay averages over.
        self.mean += max(1 - DECAY, 1 / self.seen) * (loss - self.mean)
        self.latest.append(loss)
        return False

    def state(self) -> dict:
        """Returns all that a resumed guard needs, as JSON can hold it."""
        return {**vars(self), "latest": list(self.latest)}

    def load(self, state: dict) -> None:
        """Goes on from a `state()`."""
        vars(self).update(state)
        self.latest = deque(state["latest"], maxlen=WINDOW)
