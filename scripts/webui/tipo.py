"""Presample TIPO: the script that expands the prompts of txt2img and img2img before the host reads them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import modules.scripts as scripts
from modules import shared

from ...models.tipo.expansion import Expansion, Progress, Request
from . import job, values
from .current import inside
from .keeper import Keeper
from .memory import Memory

TITLE = "Presample TIPO"


def stopped() -> bool:
    """Whether the user has stopped or skipped what the host is at."""
    state = shared.state
    return bool(state.interrupted or state.skipped or getattr(state, "stopping_generation", False))


def expand(requests: Sequence[Request]) -> list[Expansion]:
    """Returns the expansions of a job, with the host's progress and its stop button."""
    before, last = shared.state.textinfo, 0.0
    shared.state.skipped = False  # that was for the picture before: hosts forget it only at the next one

    def on_progress(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last > 0.1:
            last = time.monotonic()
            shared.state.textinfo = f"TIPO {progress.fraction:.0%}"

    try:
        return PresampleTIPO.keeper.expand(requests, on_progress, stopped)
    finally:
        shared.state.textinfo = before


class PresampleTIPO(scripts.Script):
    """What the host calls."""

    keeper = Keeper()
    memory = Memory()

    def __init__(self):
        self.prompt_box = self.panel = None
        self.sizes: dict[str, Any] = {}

    def title(self) -> str:
        return TITLE

    def show(self, is_img2img: bool):
        return scripts.AlwaysVisible

    def after_component(self, component, **kwargs) -> None:
        """Notes the host's own boxes, which are made before and after our panel."""
        tab = "img2img" if self.is_img2img else "txt2img"
        name = (kwargs.get("elem_id") or "").removeprefix(f"{tab}_")
        if name == "prompt":
            self.prompt_box = component
        elif name in ("width", "height"):
            self.sizes[name] = component
            self.connect()
        elif kwargs.get("elem_id") == f"generation_info_{tab}" and self.panel:
            self.panel.connect_pictures(component)

    def ui(self, is_img2img: bool) -> list:
        from .panel import Panel

        self.panel = Panel(self, "img2img" if is_img2img else "txt2img")
        self.infotext_fields = self.panel.infotext_fields()
        self.paste_field_names = []
        self.connect()
        return self.panel.inputs()

    def connect(self) -> None:
        """Connects the buttons once all they need is there: users may have the panel above the sizes."""
        from .actions import connect

        if self.panel and self.prompt_box and len(self.sizes) == 2:
            connect(self.panel)

    def setup(self, p, *args) -> None:
        job.prepare(p)
        job.complete(p, self.memory)

    def before_process(self, p, *args) -> None:
        if not inside(p):
            self.run(job.before, p, args)

    def process(self, p, *args) -> None:
        if not inside(p):
            self.run(job.process, p, args)

    def before_process_batch(self, p, *args, batch_number=0, **batch) -> None:
        if batch_number == 0 and not inside(p):
            job.note_hires(p)

    def postprocess(self, p, processed, *args) -> None:
        if not inside(p):
            job.note_pictures(p, processed.infotexts, self.memory)

    def run(self, step: Callable, p, args: Sequence[Any]) -> None:
        """Takes a step with what panel and axes say; what goes wrong is told under the picture."""
        try:
            said = values.from_args(args, getattr(p, job.OVERRIDES, {}))
            step(p, said, expand, self.memory)
        except (ValueError, TypeError) as error:
            job.forget(p)
            job.tell(p, f"the prompts were not expanded: {error}")
        except Exception as error:  # the host logs it and goes on
            job.forget(p)
            job.tell(p, f"the prompts were not expanded: {type(error).__name__}: {error}")
            raise
