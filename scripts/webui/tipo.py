"""Presample TIPO: the script that expands the prompts of txt2img and img2img before the host reads them."""

import time
from collections.abc import Sequence
from typing import Any

import modules.scripts as scripts
from modules import shared

from ...models.tipo.expansion import Expansion, Progress, Request
from . import job, values
from .keeper import Keeper

TITLE = "Presample TIPO"


def stopped() -> bool:
    """Whether the user has stopped or skipped what the host is at."""
    state = shared.state
    return bool(state.interrupted or state.skipped or getattr(state, "stopping_generation", False))


def expand(requests: Sequence[Request]) -> list[Expansion]:
    """Returns the expansions of a job, with the host's progress and its stop button."""
    before, last = shared.state.textinfo, 0.0

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
    memory = job.Memory()

    def __init__(self):
        self.prompt_box = None
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

    def ui(self, is_img2img: bool) -> list:
        from .panel import Panel

        panel = Panel(self, "img2img" if is_img2img else "txt2img")
        self.infotext_fields = panel.infotext_fields()
        self.paste_field_names = []
        return panel.inputs()

    def setup(self, p, *args) -> None:
        job.prepare(p)

    def before_process(self, p, *args) -> None:
        said = self.said(p, args)
        if said:
            job.before(p, said, expand, self.memory)

    def process(self, p, *args) -> None:
        said = self.said(p, args)
        if said:
            job.process(p, said, expand, self.memory)

    def said(self, p, args: Sequence[Any]) -> values.Values | None:
        """Returns what the panel and a grid's axes say; None, told under the picture, where that is wrong."""
        try:
            return job.overridden(values.from_args(args), getattr(p, job.OVERRIDES, {}))
        except (ValueError, TypeError) as error:
            job.forget(p)
            job.tell(p, f"the prompts were not expanded: {error}")
            return None
