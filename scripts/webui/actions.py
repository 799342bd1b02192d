"""The panel's buttons: write into the prompt box while one looks on, undo, and variations to choose from.

Convention: the model runs behind the host's queue, so never beside a generation. The page keeps what is typed
out of the prompt box from the click on to the end, so what the box had at the click is what it has.
"""

import html
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from ...models.interrupt import Interrupted
from ...models.tipo.chips import payload, progress_payload
from ...models.tipo.expansion import Expansion, Progress, Request
from ...models.tipo.infotext import write
from ...models.tipo.options import seed_after
from ...models.transfer import DownloadError
from . import job, values
from .memory import SHARE_IN_BOX, Memory
from .work import Running, ShouldStop, Tell, Work

VARIATIONS = 4
LEFT = 50  # steps that can be undone


def writing(script, requests: Sequence[Request]) -> Work:
    """Returns the work of expanding requests; it waits while the host is at a picture."""

    def run(tell: Tell, should_stop: ShouldStop) -> Sequence[Expansion]:
        from modules.call_queue import queue_lock

        with queue_lock:
            if should_stop():
                raise Interrupted
            return script.keeper.expand(requests, tell, should_stop)

    return Work(run)


def latest(news: Iterable[Progress]) -> list[Progress]:
    """Returns the last that was told of every text."""
    return list({(told.variation, told.region, told.writes): told for told in news}.values())


def preview(prompt: str, texts: dict[tuple[int, str], str]) -> str:
    """Returns the prompt with what has been written so far; the layout comes when all is there."""
    parts = [text.strip() for text in texts.values() if text.strip()]
    return "\n".join([prompt, *parts]) if parts else prompt


def connect(panel) -> None:
    """Connects the buttons of a panel with the host's own boxes."""
    box, sizes = panel.script.prompt_box, [panel.script.sizes[name] for name in ("width", "height")]
    acts = Actions(panel.script)
    inputs = [box, panel.history, panel.running, *sizes, *panel.inputs()]
    shown = [box, panel.history, panel.status]
    written = [*shown, panel.result, panel.varied]
    quiet = {"show_progress": False}
    recount = {"fn": None, "inputs": [], "outputs": [], panel_js(): recounting(panel.tab)}
    end = {**recount, panel_js(): ending(panel.tab)}
    at_once = {"inputs": inputs, **quiet, **side_by_side()}
    panel.generate.click(as_told(acts.generate), outputs=written, **at_once).then(**end)
    rerolled = [*written, panel.widgets["seed"]]
    panel.reroll.click(as_told(acts.reroll), outputs=rerolled, **at_once).then(**end)
    varied = [panel.status, panel.result, panel.varied]
    panel.vary.click(as_told(acts.vary), outputs=varied, **at_once).then(**end)
    panel.stop.click(Running.stop, inputs=[panel.running], outputs=[], queue=False, **quiet)
    panel.undo.click(acts.undo, inputs=[box, panel.history], outputs=shown, **quiet).then(**recount)
    chosen = {panel_js(): f"(box, history, varied) => [box, history, varied, {asking(panel.tab, 'place')}]"}
    taken = [box, panel.history, panel.varied, panel.place]
    panel.take.click(acts.take, inputs=taken, outputs=shown, **quiet, **chosen).then(**recount)


def _is_gradio_4() -> bool:
    return int(gr.__version__.partition(".")[0]) >= 4


def panel_js() -> str:
    """Returns the name that this gradio has for a handler in JavaScript."""
    return "js" if _is_gradio_4() else "_js"


def side_by_side() -> dict[str, Any]:
    """Returns what lets a handler run for several pages at once; in gradio 4 they would wait in turn."""
    return {"concurrency_limit": None} if _is_gradio_4() else {}


def as_told(handler: Callable[..., Iterator[list]]) -> Callable:
    """Returns a button's handler for this host: without gradio's queue it answers once, when all is done."""
    from modules import shared

    if not getattr(shared.cmd_opts, "no_gradio_queue", False):
        return handler

    def at_end(*given: Any) -> list:
        *_, last = handler(*given)
        return last

    return at_end


def tell(panel, name: str, component) -> None:
    """Tells the page's chips whenever the value of a component changes, as presample.js hears it."""
    event = f'new CustomEvent("presample", {{ detail: {{ tab: "{panel.tab}", {name}: value }} }})'
    heard = {panel_js(): f"(value) => {{ document.dispatchEvent({event}); return []; }}"}
    component.change(fn=None, inputs=[component], outputs=[], **heard)


def asking(tab: str, name: str) -> str:
    """Returns JavaScript for what the page's chips know: the `seed` shown, or the `place` of the choice."""
    event = 'new CustomEvent("presample-ask", { detail: asked })'
    return f'((asked) => (document.dispatchEvent({event}), asked.{name}))({{ tab: "{tab}" }})'


def recounting(tab: str) -> str:
    """Returns JavaScript that has the host count the tokens of a tab's prompt again."""
    return f"() => {{ globalThis.recalculate_prompts_{tab}?.(); return []; }}"


def ending(tab: str) -> str:
    """Returns JavaScript that tells the page's chips of the end of a handler, also of one that failed."""
    event = f'new CustomEvent("presample", {{ detail: {{ tab: "{tab}", ended: true }} }})'
    return f"() => {{ document.dispatchEvent({event}); return ({recounting(tab)})(); }}"


class Actions:
    """What the buttons of one tab do."""

    def __init__(self, script):
        self.script = script

    def generate(
        self, prompt: str, history: list, running: Running, *rest: Any, seed: int | None = None
    ) -> Iterator[list]:
        """Writes an expansion into the prompt box; a stop leaves the prompt as it was."""
        texts: dict[tuple[int, str], str] = {}
        previews: list[str] = []
        keep = back = gr.update()  # nothing is put back where nothing was written
        yield [keep, keep, self.waits(), result(live=[]), keep]
        try:
            said, request = self.request(prompt, rest, seed)
            work = writing(self.script, [request])
            for news in running.follow(work):
                texts |= {(progress.region, progress.writes): progress.text for progress in news}
                live, back = [progress_payload(progress) for progress in latest(news)], prompt
                shown = preview(request.prompt, texts)
                if shown != request.prompt:
                    previews.append(shown)
                    self.script.memory.add_previews([shown], prompt)
                yield [shown, keep, "", result(live=live), keep]
        except Interrupted:
            yield [back, keep, message("Stopped; the prompt is as it was."), result(), keep]
            return
        except Exception as error:  # whatever it is, the page must not wait for an end that never comes
            yield [back, keep, message(reason(error), bad=True), result(), keep]
            return
        self.remember(said, *work.made)
        made = work.made[0].prompt
        self.script.memory.add_previews(previews, made)
        history = [*history, (prompt, made)][-LEFT:]
        yield [made, history, "", result(shown=[payload(work.made[0])]), [made]]

    def reroll(self, prompt: str, history: list, running: Running, *rest: Any) -> Iterator[list]:
        """Writes another expansion; a seed of the panel's own is changed with it, once it is there."""
        seed = secrets.randbits(32)
        fixed = self.seed(rest) != values.RANDOM
        for outputs in self.generate(prompt, history, running, *rest, seed=seed):
            made = isinstance(outputs[-1], list)
            yield [*outputs, seed if fixed and made else gr.update()]

    def vary(self, prompt: str, history: list, running: Running, *rest: Any) -> Iterator[list]:
        """Lists variations of the prompt, to be taken with a click."""
        keep = gr.update()
        yield [self.waits(), result(live=[]), keep]
        try:
            said, first = self.request(prompt, rest)
            seeds = [seed_after(first.options.seed, k) for k in range(VARIATIONS)]
            requests = [replace(first, options=replace(first.options, seed=seed)) for seed in seeds]
            work = writing(self.script, requests)
            for news in running.follow(work):
                yield ["", result(live=[progress_payload(progress) for progress in latest(news)]), keep]
        except Interrupted:
            yield [message("Stopped."), result(), keep]
            return
        except Exception as error:
            yield [message(reason(error), bad=True), result(), keep]
            return
        self.remember(said, *work.made)
        shown = [payload(expansion) for expansion in work.made]
        yield ["", result(shown=shown, listed=True), [expansion.prompt for expansion in work.made]]

    def undo(self, prompt: str, history: list) -> list:
        """Puts back what the prompt box had before the last text that was written into it.

        A text that was changed since is not lost: it comes again with the next step back.
        """
        if not history:
            return [gr.update(), gr.update(), message("Nothing to undo.")]
        *earlier, (before, written) = history
        changed = [] if prompt == written else [(prompt, before)]
        return [before, [*earlier, *changed], message("")]

    def take(self, prompt: str, history: list, varied: list, place: Any) -> list:
        """Puts a variation into the prompt box."""
        if not isinstance(place, int | float) or not 0 <= place < len(varied):
            return [gr.update(), gr.update(), gr.update()]
        taken = varied[int(place)]
        return [taken, [*history, (prompt, taken)][-LEFT:], ""]

    def waits(self) -> str:
        """Says so where the host is at a picture: the model waits for it."""
        from modules import shared

        busy = getattr(shared.state, "job_count", 0)
        return message("The prompt is written when the picture is done.") if busy else ""

    def request(
        self, prompt: str, rest: Sequence[Any], seed: int | None = None
    ) -> tuple[values.Values, Request]:
        """Returns what the panel says and the request for a prompt; raises as `values.from_args` does.

        A prompt that is an expansion already is expanded anew from what it was made of.
        """
        width, height, *arguments = rest
        said = values.from_args(arguments)
        if seed is None:
            seed = said.panel.seed if said.panel.seed != values.RANDOM else secrets.randbits(32)
        request = job.request_for(said, width, height)
        request = replace(request, options=replace(request.options, seed=seed))
        return said, replace(request, prompt=self.script.memory.before(prompt))

    def seed(self, rest: Sequence[Any]) -> Any:
        """Returns the seed that the panel shows."""
        _, _, *arguments = rest
        return dict(zip(values.names(), arguments, strict=False)).get("seed")

    def remember(self, said: values.Values, *made: Expansion) -> None:
        """Keeps texts from being expanded again by the images that are made with them."""
        for expansion in made:
            request = expansion.request
            options = replace(request.options, seed=expansion.seed)
            pairs = write(options, request.prompt, prose=request.prose, extras=said.extras())
            self.script.memory.add(request.prompt, expansion.prompt, pairs)
            self.script.memory.add_words(expansion, SHARE_IN_BOX)


def show_made(memory: Memory) -> Callable[[str], Any]:
    """Returns a handler that shows the chips of the pictures that a host's info is of, a page for each."""

    def show(info: str) -> Any:
        made = [payload(expansion) for expansion in memory.made(infotexts(info))]
        return result(shown=made) if made else gr.update()

    return show


def infotexts(info: str) -> list[str]:
    """Returns the infotexts in what a host says of the pictures that it shows."""
    try:
        found = json.loads(info)["infotexts"]
    except (ValueError, TypeError, KeyError):
        return []
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def result(**said: Any) -> str:
    """Returns what the page's chips are told: `live` while it is written, `shown` when it is; else its end.

    It differs from every other one, or gradio would not tell the page.
    """
    return json.dumps({**said, "at": time.monotonic_ns()})


def reason(error: Exception) -> str:
    """Returns what is said of an error: what it says itself where it is one of those that are foreseen."""
    if isinstance(error, ValueError | TypeError | OSError | DownloadError):
        return str(error)
    logging.getLogger("presample").error("what a button began has failed", exc_info=error)
    return f"{type(error).__name__}: {error}"


def message(text: str, *, bad: bool = False) -> str:
    """Returns a text as the status shows it and screen readers say it."""
    if not text:
        return ""
    kind, role = ("presample-error", "alert") if bad else ("presample-message", "status")
    return f"<p class='{kind}' role='{role}'>{html.escape(text)}</p>"
