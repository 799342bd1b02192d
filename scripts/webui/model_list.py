"""The panel's list of models: read again at a press, and a published model fetched when a person asks for it.

Convention: nothing is asked of the network before *Download* is pressed.
"""

import html
from collections.abc import Iterator
from typing import Any

import gradio as gr

from ...models.fetching import download
from ...models.hub import find_models
from ...models.interrupt import Interrupted
from ...models.published.tipo import KnownModel
from ...models.tipo.choices import cost, label_now, missing_model, model_labels
from ...models.transfer import DownloadStopped
from . import actions
from .keeper import folders, own_folders
from .work import Running, Work

STOPPED = "Stopped. What has arrived is kept, and the next download goes on from there."


def connect(panel) -> None:
    """Connects the buttons beside and below the list of a panel."""
    state = [panel.widgets["model"], panel.fetches]
    shown = [panel.fetching, panel.offered, panel.fetch, panel.fetch_stop]
    quiet = {"show_progress": False}
    again = {
        "fn": read_again,
        "inputs": state,
        "outputs": [panel.widgets["model"], *shown],
        "queue": False,
        **quiet,
    }
    panel.widgets["model"].change(offer, inputs=state, outputs=shown, queue=False, **quiet)
    panel.refresh.click(**again)
    fetched = {"inputs": state, "outputs": [*shown, panel.status], **quiet, **actions.side_by_side()}
    panel.fetch.click(actions.as_told(fetch), **fetched).then(**again)
    panel.fetch_stop.click(Running.stop, inputs=[panel.fetches], outputs=[], queue=False, **quiet)


def read_again(model: str, running: Running) -> list:
    """Returns the list as the folders have it now, with the same choice, and what is offered for that."""
    found = find_models(folders())
    labels, chosen = model_labels(found), label_now(model, found)
    labels += [] if chosen in labels else [chosen]  # its file has gone; the message for it says so
    return [gr.update(choices=labels, value=chosen), *offer(chosen, running)]


def offer(model: str, running: Running) -> list:
    """Returns what stands below the list: a download of the chosen model, where it is not here."""
    if running.works:
        return [gr.update()] * 4
    known = missing_model(model, find_models(folders()))
    if known is None:
        return [gr.update(visible=False), "", gr.update(visible=False), gr.update(visible=False)]
    button = gr.update(value=f"Download {known.name} ({cost(known)})", visible=True)
    return [gr.update(visible=True), _offered(known), button, gr.update(visible=False)]


def fetch(model: str, running: Running) -> Iterator[list]:
    """Fetches the chosen model into the host's folder, with its progress."""
    keep, hidden, there = gr.update(), gr.update(visible=False), gr.update(visible=True)
    known = missing_model(model, find_models(folders()))
    if known is None or running.works:
        yield [keep] * 5
        return
    yield [keep, _progress(known, "", 0, 0), hidden, there, ""]
    try:
        for news in running.follow(fetching(known)):
            yield [keep, _progress(known, *news[-1]), keep, keep, keep]
    except (Interrupted, DownloadStopped):
        said = actions.message(STOPPED)
    except Exception as error:  # whatever it is, it is said where the button is
        said = actions.message(actions.reason(error), bad=True)
    else:
        said = actions.message(f"{known.name} is here.")
    yield [keep, keep, keep, keep, said]


def fetching(known: KnownModel) -> Work:
    """Returns the work of a download, which tells a file's name, the bytes that are here and its size."""

    def run(tell, should_stop) -> Any:
        return download(known, own_folders()[0], progress=lambda *at: tell(at), should_stop=should_stop)

    return Work(run)


def _offered(known: KnownModel) -> str:
    page, folder = html.escape(known.page), html.escape(str(own_folders()[0]))
    link = f"<a href='{page}' target='_blank' rel='noopener'>{page}</a>"
    return f"<p class='presample-message'>Not here yet: from {link} into {folder}</p>"


def _progress(known: KnownModel, file: str, here: int, size: int) -> str:
    done = 100 * here // size if size else 0
    said = f"{file}: {here / 1e6:,.0f} of {size / 1e6:,.0f} MB" if size else f"Asking {known.page}"
    bar = f"<div role='progressbar' aria-label='Download' aria-valuenow='{done}'>"
    bar += f"<div style='width: {done}%'></div></div>"
    return f"<p class='presample-message'>{html.escape(said)}</p>{bar}"
