"""The page of `presample eval pairwise`: two pictures, their prompt, and three ways to vote, with gradio.

Convention: pictures are in the page itself and carry no name, so nothing in it tells whose they are. What a
click means is decided by the pair that it was made on: a hidden field of the page holds its name, so a second
click or a reload in between counts nothing twice. The browser remembers who votes until it is told to forget.
"""

import base64
import html
import inspect
import mimetypes
import sys
from collections.abc import Callable
from typing import Any

from ..metrics.pairwise import Ballots, Tally, Turn

TITLE = "Which picture is better?"
RULES = (
    "You will see two pictures of the same prompt. Pick the one you would rather have, with a click or the "
    "keys ← and →; ↓ says about the same, ⌫ takes back."
)
FONT = ("system-ui", "sans-serif")  # gradio's own would be fetched
CSS = """
.gradio-container {width: 100% !important; max-width: 1500px !important; margin: 0 auto !important}
footer {display: none !important}
#gate {max-width: 430px; margin: 14vh auto 0; text-align: center}
.pair {width: 100%}
.pair h1 {font-size: 15px; font-weight: 500; letter-spacing: .02em; opacity: .6; text-align: center;
  margin: 4px}
.pair .prompt {font-size: 17px; line-height: 1.45; text-align: center; max-width: 70ch; margin: 2px auto 14px;
  max-height: 5.8em; overflow-y: auto}
.pair .sides {display: flex; gap: 18px; justify-content: center; align-items: stretch}
.pair figure {margin: 0; flex: 1 1 0; min-width: 0; height: 62vh; display: flex; align-items: center;
  justify-content: center; border-radius: 12px; background: rgba(128, 128, 128, .10); overflow: hidden;
  cursor: pointer; outline: 3px solid transparent; transition: outline-color .12s}
.pair figure:hover {outline-color: rgba(128, 128, 128, .45)}
.pair img {width: 100%; height: 100%; object-fit: contain}
.pair .bar {height: 3px; border-radius: 2px; background: rgba(128, 128, 128, .18); margin: 14px auto 4px}
.pair .bar i {display: block; height: 100%; border-radius: 2px; background: #d97a4a; transition: width .2s}
.pair .count {font-size: 13px; opacity: .6; text-align: center; font-variant-numeric: tabular-nums}
.pair .thanks {text-align: center; margin: 18vh auto 0; font-size: 22px}
.pair .thanks p {font-size: 15px; opacity: .7}
.pair table {margin: 22px auto; font-size: 15px; font-variant-numeric: tabular-nums}
.pair td {padding: 4px 18px}
.pair.gate h1 {font-size: 24px; opacity: 1}
.pair.gate p {font-size: 15px; line-height: 1.5; opacity: .7; margin: 6px 0 18px}
#choices {justify-content: center; gap: 12px; max-width: 900px; margin: 0 auto}
#choices button {font-weight: 500}
#back {max-width: 170px; margin: 0 auto; opacity: .75}
#who {max-width: 340px; margin: 0 auto; opacity: .6; background: none; border: none; box-shadow: none}
"""
# Keys press the buttons, unless one is typing; pictures do too. The page is asked who votes when it opens.
OPENED = """() => {
  const press = (id) => document.querySelector(`#${id}`)?.click();
  const keys = {ArrowLeft: "left", "1": "left", ArrowRight: "right", "2": "right", ArrowDown: "same",
    "0": "same", Backspace: "back"};
  if (!window.presampleKeys) {
    window.presampleKeys = true;
    document.addEventListener("keydown", (event) => {
      if (event.target.matches?.("input, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (!keys[event.key] || event.repeat) return;
      event.preventDefault();
      press(keys[event.key]);
    });
    document.addEventListener("click", (event) => {
      const side = event.target.closest?.(".pair figure")?.dataset.side;
      if (side) press(side);
    });
  }
  return [localStorage.getItem("presample-voter") ?? ""];
}"""
NAMED = """(name) => {
  localStorage.setItem("presample-voter", name.trim());
  return [name];
}"""
FORGOTTEN = """() => {
  localStorage.removeItem("presample-voter");
  return [""];
}"""


def serve(ballots: Ballots, *, host: str, port: int) -> None:
    """Serves the page until Ctrl-C.

    Raises:
        ModuleNotFoundError: gradio is missing (`presample[eval]`).
    """
    page = build(ballots)
    page.launch(
        **_known(
            page.launch,
            **_look(),
            server_name=host,
            server_port=port,
            quiet=True,
            share=False,
            prevent_thread_lock=True,
        )
    )
    print(f"open http://{host}:{port} (Ctrl-C ends it)", file=sys.stderr)
    try:
        page.block_thread()
    finally:
        page.close(verbose=False)


def build(ballots: Ballots) -> Any:
    """Returns the page as gradio's Blocks."""
    import gradio as gr

    with gr.Blocks(**_known(gr.Blocks, **_look(), title=TITLE, analytics_enabled=False)) as page:
        voter, pair = gr.Textbox(visible=False), gr.Textbox(visible=False)
        with gr.Column(elem_id="gate", visible=False) as gate:
            gr.HTML(f'<div class="pair gate"><h1>{TITLE}</h1><p>{RULES}</p></div>')
            name = gr.Textbox(label="Your name", elem_id="name", max_lines=1, autofocus=True)
            begin = gr.Button("Begin", variant="primary", elem_id="begin")
        with gr.Column(elem_id="booth", visible=False) as booth:
            view = gr.HTML()
            with gr.Row(elem_id="choices") as choices:
                buttons = {
                    "left": gr.Button("← Left is better", elem_id="left"),
                    "same": gr.Button("↓ About the same", elem_id="same"),
                    "right": gr.Button("Right is better →", elem_id="right"),
                }
            back = gr.Button("⌫ Take back", elem_id="back", size="sm")
            who = gr.Button(elem_id="who", size="sm")
        shown = [voter, pair, gate, booth, view, choices, back, who, name]
        room = Room(ballots, gr.update)
        quick = {"show_progress": "hidden", "queue": False, "outputs": shown}
        page.load(room.opened, voter, js=OPENED, **quick)
        for happens in (begin.click, name.submit):
            happens(room.opened, name, js=NAMED, **quick)
        for side, button in buttons.items():
            button.click(room.voted(side), [voter, pair], **quick)
        back.click(room.back, voter, **quick)
        who.click(room.opened, voter, js=FORGOTTEN, **quick)
    return page


def _look() -> dict[str, Any]:
    """What gradio 4 and 5 are told with the page, and gradio 6 when it is served."""
    import gradio as gr

    return {"theme": gr.themes.Default(primary_hue="orange", font=FONT, font_mono=("monospace",)), "css": CSS}


def _known(function: Callable, **facts: Any) -> dict[str, Any]:
    known = inspect.signature(function).parameters
    return {name: value for name, value in facts.items() if name in known}


class Room:
    """What the page does: each method returns the new values of all that is shown."""

    def __init__(self, ballots: Ballots, update: Callable[..., Any]):
        self.ballots, self.update = ballots, update

    def opened(self, voter: str) -> list[Any]:
        """The gate for a person without a name, else what they see now."""
        voter = (voter or "").strip()[:80]
        if not voter:
            here, gone = self._visible(True), self._visible(False)
            return ["", "", here, gone, "", gone, self.update(), self.update(), ""]
        turn = self.ballots.turn(voter)
        done, count = self.ballots.progress(voter)
        there = self._visible(turn is not None)
        view = pair_html(turn, done, count) if turn else thanks_html(done, self.ballots.tally())
        name = turn.pair.name if turn else ""
        gate, booth, back = map(self._visible, (False, True, done > 0))
        who = self.update(value=f"You are {voter}. Not you?")
        return [voter, name, gate, booth, view, there, back, who, self.update()]

    def voted(self, side: str) -> Callable[[str, str], list[Any]]:
        """What a click on a side does."""

        def vote(voter: str, pair: str) -> list[Any]:
            self.ballots.vote(voter, pair, side)
            return self.opened(voter)

        return vote

    def back(self, voter: str) -> list[Any]:
        """Takes the last vote back."""
        self.ballots.back(voter)
        return self.opened(voter)

    def _visible(self, is_so: bool) -> Any:
        return self.update(visible=is_so)


def pair_html(turn: Turn, done: int, count: int) -> str:
    """Returns a pair as the page shows it."""
    left, right = (_picture(path) for path in turn.sides)
    said = f'<p class="prompt">{html.escape(turn.pair.prompt)}</p>' if turn.pair.prompt else ""
    return (
        f'<div class="pair"><h1>{TITLE}</h1>{said}<div class="sides">'
        f'<figure data-side="left"><img alt="left picture" src="{left}"></figure>'
        f'<figure data-side="right"><img alt="right picture" src="{right}"></figure></div>'
        f'<div class="bar"><i style="width: {100 * done / count:.1f}%"></i></div>'
        f'<div class="count">{done} of {count} judged</div></div>'
    )


def thanks_html(done: int, found: Tally) -> str:
    """Returns what a person sees behind their last pair; the result only when all votes are in."""
    rows = (("A wins", found.wins_a), ("B wins", found.wins_b), ("tied", found.ties))
    cells = "".join(f"<tr><td>{name}</td><td>{number}</td></tr>" for name, number in rows)
    result = "" if found.open else f"<table>{cells}</table><p>p = {found.p_value:.3g} against a fair coin</p>"
    return (
        f'<div class="pair"><div class="thanks">Thank you!<p>You judged {done} pairs.</p>{result}</div></div>'
    )


def _picture(path: Any) -> str:
    kind = mimetypes.guess_type(path.name)[0] or "image/png"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
