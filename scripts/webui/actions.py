"""The panel's buttons: write into the prompt box while one looks on, undo, and variations to choose from.

Convention: the model runs in a thread of its own, behind the host's queue, so never beside a generation; the
button's handler only looks how far it is, and its end, whichever, stops the thread within a token.
"""

import html
import queue
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from ...models.interrupt import Interrupted
from ...models.tipo.expansion import Expansion, Progress, Request
from ...models.tipo.infotext import write
from . import job, values

SECONDS = 0.15  # between two looks
VARIATIONS = 4
LEFT = 50  # steps that can be undone


class Writing:
    """One run of the model; iterating gives its progress and last, in `made`, what it made."""

    def __init__(self, script, requests: Sequence[Request]):
        self.script, self.requests = script, requests
        self.stopped, self.events = threading.Event(), queue.SimpleQueue()
        self.made: list[Expansion] | None = None

    def __iter__(self) -> Iterator[Progress]:
        threading.Thread(target=self._write, name="presample", daemon=True).start()
        try:
            while (event := self._next()) is not None:
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, list):
                    self.made = event
                    return
                yield event
        finally:
            self.stopped.set()

    def _write(self) -> None:
        from modules.call_queue import queue_lock

        try:
            with queue_lock:
                made = self.script.keeper.expand(self.requests, self.events.put, self.stopped.is_set)
            self.events.put(made)
        except Exception as error:  # it is raised again in the handler
            self.events.put(error)

    def _next(self) -> Any:
        """The next event; of the progress that has piled up only the last."""
        event = self.events.get()
        while isinstance(event, Progress) and not self.events.empty():
            event = self.events.get()
        return event


def preview(prompt: str, texts: dict[tuple[int, str], str]) -> str:
    """Returns the prompt with what has been written so far; the layout comes when all is there."""
    parts = [text.strip() for text in texts.values() if text.strip()]
    return "\n".join([prompt, *parts]) if parts else prompt


def connect(panel) -> None:
    """Connects the buttons of a panel, where the host has shown its prompt box."""
    box, tab = panel.script.prompt_box, panel.tab
    if box is None:
        return
    sizes = [panel.script.sizes[name] for name in ("width", "height") if name in panel.script.sizes]
    acts = Actions(panel.script, sized=len(sizes) == 2)
    inputs = [box, panel.history, *(sizes if acts.sized else []), *panel.inputs()]
    recount = {"fn": None, "inputs": [], "outputs": [], panel_js(): f"recalculate_prompts_{tab}"}
    shown = [box, panel.history, panel.status]
    panel.generate.click(acts.generate, inputs=inputs, outputs=shown, show_progress=False).then(**recount)
    panel.stop.click(acts.stop, inputs=[], outputs=[], show_progress=False, queue=False)
    panel.undo.click(acts.undo, inputs=[box, panel.history], outputs=shown, show_progress=False).then(
        **recount
    )
    listed = [panel.choices, panel.varied, panel.status]
    panel.vary.click(acts.vary, inputs=inputs, outputs=listed, show_progress=False)
    taken = [box, panel.history, panel.varied, panel.choices]
    panel.choices.input(acts.take, inputs=taken, outputs=shown, show_progress=False).then(**recount)


def panel_js() -> str:
    """Returns the name that this gradio has for a handler in JavaScript."""
    return "js" if int(gr.__version__.partition(".")[0]) >= 4 else "_js"


class Actions:
    """What the buttons of one tab do."""

    def __init__(self, script, *, sized: bool):
        self.script, self.sized = script, sized
        self.running: Writing | None = None

    def generate(self, prompt: str, history: list, *rest: Any) -> Iterator[list]:
        """Writes an expansion into the prompt box; a stop leaves the prompt as it was."""
        texts: dict[tuple[int, str], str] = {}
        writing = None
        try:
            said, request = self.request(prompt, rest)
            writing = self.running = Writing(self.script, [request])
            for progress in writing:
                texts[progress.region, progress.writes] = progress.text
                yield [preview(prompt, texts), gr.update(), bar(progress.fraction)]
        except Interrupted:
            yield [prompt, gr.update(), message("Stopped; the prompt is as it was.")]
            return
        except (ValueError, TypeError, OSError) as error:
            yield [prompt, gr.update(), message(str(error), bad=True)]
            return
        finally:
            if writing:
                writing.stopped.set()
        expansion = writing.made[0]
        self.remember(said, expansion)
        yield [expansion.prompt, [*history, prompt][-LEFT:], message(summary(expansion))]

    def vary(self, prompt: str, history: list, *rest: Any) -> Iterator[list]:
        """Lists variations of the prompt, to be taken with a click."""
        try:
            said, first = self.request(prompt, rest)
            seeds = [first.options.seed + k for k in range(VARIATIONS)]
            requests = [replace(first, options=replace(first.options, seed=seed)) for seed in seeds]
            writing = self.running = Writing(self.script, requests)
            for progress in writing:
                yield [gr.update(), gr.update(), bar(progress.fraction)]
        except Interrupted:
            yield [gr.update(), gr.update(), message("Stopped.")]
            return
        except (ValueError, TypeError, OSError) as error:
            yield [gr.update(), gr.update(), message(str(error), bad=True)]
            return
        for expansion in writing.made:
            self.remember(said, expansion)
        shown = [f"{k + 1}. {each.added or 'nothing was added'}" for k, each in enumerate(writing.made)]
        prompts = [expansion.prompt for expansion in writing.made]
        yield [gr.update(choices=shown, value=None, visible=True), prompts, message("")]

    def stop(self) -> None:
        """Stops what is being written."""
        if self.running:
            self.running.stopped.set()

    def undo(self, prompt: str, history: list) -> list:
        """Puts back what the prompt box had before the last expansion."""
        if not history:
            return [gr.update(), gr.update(), message("Nothing to undo.")]
        return [history[-1], history[:-1], message("")]

    def take(self, prompt: str, history: list, prompts: list, chosen: str | None) -> list:
        """Puts a variation into the prompt box; the list's items begin with their number."""
        number = (chosen or "").partition(".")[0]
        if not number.isdecimal() or not 0 < int(number) <= len(prompts):
            return [gr.update(), gr.update(), gr.update()]
        return [prompts[int(number) - 1], [*history, prompt][-LEFT:], message("")]

    def request(self, prompt: str, rest: Sequence[Any]) -> tuple[values.Values, Request]:
        """Returns what the panel says and the request for a prompt; raises as `values.from_args` does."""
        width, height = rest[:2] if self.sized else (1024, 1024)
        said = values.from_args(rest[2:] if self.sized else rest)
        seed = said.panel.seed if said.panel.seed != values.RANDOM else secrets.randbits(32)
        request = job.request_for(said, width, height)
        return said, replace(request, prompt=prompt, options=replace(request.options, seed=seed))

    def remember(self, said: values.Values, expansion: Expansion) -> None:
        """Keeps a text from being expanded again by the images that are made with it."""
        options = replace(expansion.request.options, seed=expansion.seed)
        pairs = write(options, expansion.original, prose=expansion.request.prose, extras=said.extras())
        self.script.memory.add(expansion.request.prompt, expansion.prompt, pairs)


def summary(expansion: Expansion) -> str:
    """Returns in a few words what came of an expansion."""
    tags = sum(len(tags) for region in expansion.regions for tags in region.added_tags.values())
    sentences = sum(len(region.added_prose) for region in expansion.regions)
    said = f"{tags} tags and {sentences} sentences added, seed {expansion.seed}, {expansion.seconds:.1f} s"
    return "; ".join([said, *expansion.notes])


def message(text: str, *, bad: bool = False) -> str:
    """Returns a text as the status shows it."""
    if not text:
        return ""
    return f"<p class='presample-{'error' if bad else 'said'}'>{html.escape(text)}</p>"


def bar(fraction: float) -> str:
    """Returns how far it is, as the status shows it."""
    return f"<div class='presample-bar'><div style='width: {100 * fraction:.0f}%'></div></div>"
