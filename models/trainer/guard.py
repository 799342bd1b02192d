"""The guard against spikes of the loss: it says which updates to leave out.

A loss is a spike when it exceeds EMA + 6 MAD: the running mean of the losses, and the median distance of the
latest ones to their median. At most 1 % of all steps are left out, so that a loss which has risen for good
(a new stage, other data) cannot stop the training. Source: specification 2.8. A loss many times the mean is
more than a spike: where these come in a swarm the weights have gone astray, and leaving out is no help.
"""

import math
from collections import deque
from statistics import median

DECAY = 0.99
WINDOW = 256  # losses whose spread is taken
FEWEST = 100  # losses seen before the first one can be a spike
FACTOR = 6.0
SHARE = 0.01
BLOWN = 10.0  # times the mean, and times as far from it as the limit
LATELY, MANY = 20, 8  # so many of the latest steps, and how many of these are a swarm


class Guard:
    """Sees the loss of every step."""

    def __init__(self) -> None:
        self.seen = 0
        self.skipped = 0
        self.mean = 0.0
        self.latest: deque[float] = deque(maxlen=WINDOW)
        self.blown: deque[bool] = deque(maxlen=LATELY)

    @property
    def limit(self) -> float:
        """What the next loss may reach; infinite until enough losses were seen."""
        if self.seen < FEWEST:
            return math.inf
        middle = median(self.latest)
        return self.mean + FACTOR * median(abs(loss - middle) for loss in self.latest)

    @property
    def is_calm(self) -> bool:
        """Returns whether no loss of the latest steps was blown up: then their weights are worth keeping."""
        return not any(self.blown)

    @property
    def is_astray(self) -> bool:
        """Returns whether so many were that the training diverges."""
        return sum(self.blown) >= MANY

    def skips(self, loss: float) -> bool:
        """Returns whether to leave out this step's update; remembers the loss if not."""
        limit = self.limit
        self.seen += 1
        self.blown.append(loss - self.mean > BLOWN * max(abs(self.mean), limit - self.mean))
        if loss > limit and self.skipped + 1 <= SHARE * self.seen:
            self.skipped += 1
            return True
        # A plain mean until there are as many losses as the decay averages over.
        self.mean += max(1 - DECAY, 1 / self.seen) * (loss - self.mean)
        self.latest.append(loss)
        return False

    def state(self) -> dict:
        """Returns all that a resumed guard needs, as JSON can hold it."""
        return {**vars(self), "latest": list(self.latest), "blown": list(self.blown)}

    def load(self, state: dict) -> None:
        """Goes on from a `state()`."""
        vars(self).update(state)
        self.latest = deque(state["latest"], maxlen=WINDOW)
        self.blown = deque(state.get("blown", ()), maxlen=LATELY)  # older checkpoints do not say
