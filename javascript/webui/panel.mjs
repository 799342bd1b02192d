// One tab's chips: what the server says is shown, what the user decides goes into the panel's hidden text box,
// and the panel's hidden buttons are pressed. Works in the DOM of gradio 3.41 and 4.40.

import { Chips } from "../comfyui/chips.mjs";
import { copyText } from "../comfyui/clipboard.mjs";
import { Decisions, readResult } from "../comfyui/result.mjs";
import { wordsOf } from "../comfyui/words.mjs";
import { List } from "./list.mjs";

const TABS = ["txt2img", "img2img"];

/** The language of the host's page: it names its files of translations as it likes, such as "ja_JP". */
const language = () => /^(ja|zh|ko)/.exec(String(globalThis.opts?.localization).toLowerCase())?.[0];

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {}; // nothing has been said yet
  }
}

class Panel {
  constructor(tab) {
    const words = wordsOf(language());
    this.tab = tab;
    this.busy = false;
    this.decisions = new Decisions();
    const actions = {
      decided: () => this.decided(),
      cleared: () => this.cleared(),
      copy: async () => this.view.copied(await copyText(this.view.variation.prompt)),
      reroll: () => this.busy || this.part("reroll").click(),
    };
    this.view = new Chips(this.decisions, actions, { ...words, rerollTitle: words.rerollHere });
    this.view.state.freezable = false;
    this.list = new List(words, (place) => this.take(place));
    this.shown = this.part("shown");
    this.shown.append(this.list.element, this.view.element);
    this.decisions.read(this.box().value);
    for (const name of ["generate", "reroll"]) this.part(name).addEventListener("click", () => this.lock(true));
    this.explain();
    this.render();
  }

  part(name) {
    return document.getElementById(`${this.tab}_presample_${name}`);
  }

  box() {
    return this.part("chips").querySelector("textarea, input");
  }

  /** Hears what the server says: a `result` to show, `chips` that were pasted, or that a handler has `ended`. */
  hear({ result, chips, ended }) {
    if (result !== undefined) this.takeIn(parsed(result));
    if (ended) this.end();
    if (chips !== undefined && chips !== this.decisions.write()) {
      this.decisions.read(chips);
      this.view.render();
      this.render();
    }
  }

  takeIn({ live, shown, listed }) {
    clearTimeout(this.silence);
    const writing = Array.isArray(live);
    this.setBusy(writing);
    if (writing) {
      const begun = { fraction: 0, variation: 0, writes: "tags", text: "" };
      for (const progress of live.length ? live : [begun]) this.view.stream(progress);
    } else if (shown) {
      this.view.page = 0;
      this.view.show(readResult(shown), { announce: true });
      this.list.show(listed ? this.view.variations : []);
    } else {
      this.view.endStream();
    }
    this.render();
  }

  /** Opens the prompt box again; a handler that failed says no more, others may say their last a little later. */
  end() {
    this.lock(false);
    this.silence = setTimeout(() => this.takeIn({}), 1000);
  }

  /** Keeps what is typed out of the prompt box, which is written into, or lets it in again. */
  lock(locked) {
    const prompt = document.querySelector(`#${this.tab}_prompt textarea`);
    if (prompt) prompt.readOnly = locked;
  }

  render() {
    const empty = !this.view.live && !this.view.variation && this.decisions.empty;
    const waits = !this.view.live && this.list.waits;
    this.shown.classList.toggle("presample-full", !empty);
    this.view.element.hidden = waits;
    this.list.element.hidden = this.view.live !== null || !this.list.filled;
  }

  setBusy(busy) {
    const [from, to] = busy ? ["generate", "stop"] : ["stop", "generate"];
    const focused = this.part(from).contains(document.activeElement);
    this.busy = busy;
    this.part("buttons").classList.toggle("presample-busy", busy);
    for (const name of ["vary", "undo"]) this.part(name).disabled = busy;
    this.view.reroll.setAttribute("aria-disabled", String(busy));
    if (focused) this.part(to).focus();
  }

  decided() {
    const box = this.box();
    box.value = this.decisions.write();
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  cleared() {
    this.decided();
    this.render();
  }

  take(place) {
    this.view.page = place;
    this.view.render();
    this.render();
    this.part("take").click();
  }

  /** Answers a handler that asks before it calls the server. */
  answer(asked) {
    asked.place = this.view.page;
    const seed = Number(this.view.variation?.seed || NaN);
    if (Number.isSafeInteger(seed)) asked.seed = seed;
  }

  /** Gives the widgets whose help is not written beside them a tooltip with it. */
  explain() {
    const help = parsed(this.shown.querySelector("[data-help]")?.dataset.help);
    for (const [name, text] of Object.entries(help)) this.part(name)?.setAttribute("title", text);
  }
}

/** Opens the panels that the page has; returns them by tab. */
export function openPanels() {
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("../comfyui/presample.css", import.meta.url).href;
  document.head.append(style);
  const there = TABS.filter((tab) => document.getElementById(`${tab}_presample_shown`));
  const panels = new Map(there.map((tab) => [tab, new Panel(tab)]));
  document.addEventListener("presample-ask", ({ detail }) => panels.get(detail.tab)?.answer(detail));
  return panels;
}
