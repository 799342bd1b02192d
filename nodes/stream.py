"""What a node tells the page while it writes: the text so far, a progress bar, and that it may be stopped."""

import time
from collections.abc import Sequence

import comfy.model_management as mm
import comfy.utils
from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..models.interrupt import Interrupted
from ..models.tipo.chips import progress_payload
from ..models.tipo.expand import expand_many
from ..models.tipo.expansion import Expansion, Progress, Request
from .compat import known_only

EVENT = "presample.progress"
SECONDS = 0.05  # between two messages
STEPS = 1000


class Stream:
    """Sends progress to the page that queued the prompt, no more often than it can be read.

    A run that no page has queued is not told of: without an address a message goes to all of them.
    """

    def __init__(self, node: str | None):
        self.node, self.last, self.due = node, 0.0, True
        self.run = getattr(get_executing_context(), "prompt_id", None)
        self.bar = comfy.utils.ProgressBar(STEPS, **known_only(comfy.utils.ProgressBar, node_id=node))
        self.server = getattr(PromptServer, "instance", None)

    def __call__(self, progress: Progress) -> None:
        if progress.variation == 0:  # the variations of one step come one after the other
            now = time.monotonic()
            self.due = now - self.last >= SECONDS
            self.last = now if self.due else self.last
        if not self.due and progress.fraction < 1.0:
            return
        self.bar.update_absolute(int(progress.fraction * STEPS), STEPS)
        page = getattr(self.server, "client_id", None)
        if page is not None and self.node is not None:
            message = {"node": self.node, "prompt_id": self.run, **progress_payload(progress)}
            self.server.send_sync(EVENT, message, page)


def write(request: Request, count: int, loaded, node: str | None) -> Sequence[Expansion]:
    """Returns the expansions, streamed into the node; an interruption is obeyed within a token."""
    tipo = loaded.ready(count)
    try:
        return expand_many(
            request, count, tipo, on_progress=Stream(node), should_stop=mm.processing_interrupted
        )
    except Interrupted:
        mm.throw_exception_if_processing_interrupted()
        raise
