// The picture of an expansion: chips by category, sentences, notes, buttons. Knows nothing of its host, be it
// ComfyUI or a WebUI; all text goes through textContent.

import { wordsOf } from "./words.mjs";

const ORDER = ["special", "characters", "copyrights", "artist", "general", "rating", "quality", "meta"];
const STOPPED = ["pointerdown", "pointerup", "mousedown", "dblclick"];
const OUR_KEYS = ["Enter", " ", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "Delete", "Backspace"];

const bounded = (number) => Math.min(63, Math.max(0, Math.trunc(number) || 0));

function make(tag, name, text = "") {
  const element = document.createElement(tag);
  if (name) element.className = `presample-${name}`;
  if (text) element.textContent = text;
  return element;
}

function button(name, text, title, onClick) {
  const element = make("button", name, text);
  element.type = "button";
  element.title = title;
  element.addEventListener("click", onClick);
  return element;
}

/**
 * The chips of one node or panel. `actions` are called for what the user does: decided, copy, reroll, and, where
 * the host has them, freeze, advanced and cleared; one that it has not has no button.
 */
export class Chips {
  constructor(decisions, actions, words = wordsOf("en")) {
    Object.assign(this, { decisions, actions, words, variations: [], total: 0, page: 0 });
    this.live = null; // while it is written: whose run it is, and the texts of each variation by part
    this.at = {}; // the chip on which the keyboard is, or was last
    this.state = { frozen: false, freezable: true, rerollable: true, advanced: null };
    this.element = make("div", "");
    this.element.className = "presample";
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", this.words.group);
    this.element.append(this.makeBar(), this.makeHead(), this.makeBody(), this.makeActions(), this.makeVoice());
    this.stopEvents();
  }

  // --- parts -------------------------------------------------------------------------------------------------

  makeBar() {
    this.bar = make("div", "bar");
    this.bar.setAttribute("role", "progressbar");
    this.bar.setAttribute("aria-label", this.words.bar);
    this.bar.append(make("div", "done"));
    return this.bar;
  }

  makeHead() {
    this.head = make("div", "head");
    this.details = make("details", "details");
    this.status = make("summary", "status");
    this.more = make("div", "more");
    this.details.append(this.status, this.more);
    this.pager = make("div", "pager");
    const { previous, next } = this.words;
    this.previous = button("turn", "‹", previous, () => this.turn(-1));
    this.next = button("turn", "›", next, () => this.turn(1));
    this.previous.setAttribute("aria-label", previous);
    this.next.setAttribute("aria-label", next);
    this.place = make("span", "place");
    this.pager.append(this.previous, this.place, this.next);
    this.head.append(this.details, this.pager);
    return this.head;
  }

  makeBody() {
    this.body = make("div", "body");
    this.body.addEventListener("keydown", (event) => this.moveFocus(event));
    this.body.addEventListener("focusin", (event) => this.setTabStop(event.target));
    this.body.addEventListener("blur", () => this.body.removeAttribute("tabindex"));
    return this.body;
  }

  makeActions() {
    const { actions, words } = this;
    this.copy = button("action", words.copy, words.copyTitle, () => actions.copy());
    this.freeze = button("action", words.freeze, "", () => actions.freeze());
    this.reroll = button("action", words.reroll, "", (event) => actions.reroll(event.shiftKey));
    this.clear = button("action", words.clear, words.clearTitle, () => this.forget());
    this.advanced = button("toggle", words.advanced, "", () => actions.advanced());
    const row = make("div", "actions");
    row.append(this.copy, this.freeze, this.reroll, this.clear, this.advanced);
    return row;
  }

  makeVoice() {
    this.voice = make("div", "voice");
    this.voice.setAttribute("role", "status");
    this.voice.setAttribute("aria-live", "polite");
    return this.voice;
  }

  /** Keeps what is meant for the chips from the canvas, in both renderers; the middle button is not. */
  stopEvents() {
    for (const name of STOPPED) {
      this.element.addEventListener(name, (event) => event.button === 1 || event.stopPropagation());
    }
    this.element.addEventListener("keydown", (event) => {
      const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
      if (plain && OUR_KEYS.includes(event.key)) event.stopPropagation();
    });
    this.element.dataset.captureWheel = "true";
    const keep = (event) => this.scrolls(event) && event.stopPropagation();
    this.element.addEventListener("wheel", keep, { passive: true });
  }

  /** Whether a turn of the wheel scrolls something in here, and so is not for whatever lies around it. */
  scrolls({ target, ctrlKey, metaKey, deltaX, deltaY }) {
    const box = target.closest?.(".presample-body, .presample-more");
    const across = Math.abs(deltaX) > Math.abs(deltaY);
    return !ctrlKey && !metaKey && !across && Boolean(box) && box.scrollHeight > box.clientHeight;
  }

  // --- what is shown -----------------------------------------------------------------------------------------

  /** Shows a result, of which there may be more than these; stays on the open page where there still is one. */
  show(variations, { announce = false, total = variations.length } = {}) {
    Object.assign(this, { variations, total, live: null });
    this.render();
    if (announce && variations.length) this.voice.textContent = this.summary().join(", ");
  }

  /** Shows what has changed in the host's widgets; what is being written goes on. */
  refresh(state) {
    Object.assign(this.state, state);
    this.render();
  }

  /**
   * Shows text as it is written in the run `prompt_id`, where the host has more than one: `fraction` of all,
   * `variation`, `region`, what it `writes`, `text` and what of that is `settled`.
   */
  stream({ prompt_id, fraction, variation, region, writes, text, settled }) {
    const begins = this.live === null || this.live.run !== prompt_id;
    if (begins) this.live = { run: prompt_id, texts: [], fraction: 0 };
    this.live.fraction = Math.min(1, Math.max(0, Number(fraction) || 0));
    const texts = (this.live.texts[bounded(variation)] ??= []);
    const part = (texts[bounded(region)] ??= {});
    const sure = typeof settled === "string" && String(text).startsWith(settled) ? settled : "";
    part[writes === "prose" ? "prose" : "tags"] = { sure, rest: String(text ?? "").slice(sure.length) };
    if (begins) {
      this.voice.textContent = this.words.writing;
      this.render();
    } else {
      this.renderLive();
    }
  }

  /** Ends the stream of a run that brought no result; the last one is shown again. */
  endStream(run) {
    if (this.live === null || this.live.run !== run) return;
    this.live = null;
    this.voice.textContent = "";
    this.render();
  }

  get variation() {
    return this.variations[Math.min(this.page, this.variations.length - 1)];
  }

  get pages() {
    return this.live ? this.live.texts.length : this.variations.length;
  }

  turn(step) {
    const last = this.pages - 1;
    this.page = Math.min(last, Math.max(0, Math.min(this.page, last) + step));
    this.render();
    this.voice.textContent = this.words.place(this.page + 1, this.pages);
    const turned = step < 0 ? this.previous : this.next;
    if (turned.disabled) (step < 0 ? this.next : this.previous).focus();
  }

  render() {
    const focused = document.activeElement;
    const inside = this.element.contains(focused);
    this.element.classList.toggle("presample-live", this.live !== null);
    this.element.setAttribute("aria-busy", String(this.live !== null));
    this.renderHead();
    if (this.live) this.renderLive();
    else this.body.replaceChildren(...this.filling());
    this.renderActions();
    this.setTabStop(this.chipOf(this.at) ?? this.buttons()[0]);
    if (inside && (focused === this.body || this.isGone(focused))) this.focusBody();
  }

  renderHead() {
    const words = this.live ? [this.words.writingNow] : this.summary();
    this.status.textContent = words.join(" · ");
    this.details.hidden = words.length === 0;
    const more = this.live ? [] : this.moreParts();
    this.more.replaceChildren(...more);
    this.details.classList.toggle("presample-plain", more.length === 0);
    if (more.length === 0) this.details.open = false;
    const page = Math.min(this.page, Math.max(0, this.pages - 1));
    this.pager.hidden = this.pages < 2;
    this.place.textContent = `${page + 1} / ${this.pages}`;
    this.previous.disabled = page === 0;
    this.next.disabled = page >= this.pages - 1;
  }

  summary() {
    const { variation: shown, words: say } = this;
    if (!shown) return [];
    const tags = shown.chips.filter((chip) => !chip.own && !chip.absent).length;
    const prose = shown.prose.filter((part) => !part.own && !part.absent).length;
    const added = [];
    if (tags || !prose) added.push(say.tags(tags));
    if (prose) added.push(say.sentences(prose));
    const words = [say.added(added)];
    if (this.total > this.variations.length) words.push(say.shown(this.variations.length, this.total));
    if (this.state.frozen) words.unshift(say.frozen);
    if (shown.notes.length) words.push(say.notes(shown.notes.length));
    if (shown.refusals.length) words.push(say.leftOut(shown.refusals.length));
    return words;
  }

  moreParts() {
    const { variation: shown, words } = this;
    if (!shown) return [];
    const parts = [];
    if (shown.prompt) parts.push(make("pre", "prompt", shown.prompt));
    parts.push(...shown.notes.map((note) => make("p", "note", note)));
    for (const { text, reason } of shown.refusals) {
      const line = make("p", "refusal");
      line.append(make("s", "", text), reason ? ` ${reason}` : "");
      parts.push(line);
    }
    const facts = [];
    if (shown.seed) facts.push(words.seed(shown.seed));
    if (shown.tokens !== null) facts.push(words.tokens(shown.tokens));
    if (shown.seconds !== null) facts.push(words.seconds(shown.seconds));
    if (facts.length) parts.push(make("p", "facts", facts.join(" · ")));
    return parts;
  }

  filling() {
    const parts = this.variation ? [...this.rows(), ...this.sentences()] : this.filled(this.waiting());
    return parts.length || this.variation ? parts : [make("p", "hint", this.words.hint)];
  }

  rows() {
    const { chips } = this.variation;
    const regions = [...new Set(chips.map((chip) => chip.region))].sort((a, b) => a - b);
    const rows = regions.flatMap((region) => {
      const groups = new Map(ORDER.map((category) => [category, []]));
      for (const chip of chips.filter((other) => other.region === region)) {
        if (!groups.has(chip.category)) groups.set(chip.category, []);
        groups.get(chip.category).push(chip);
      }
      const part = regions.length > 1 ? [make("p", "part", this.words.part(region + 1))] : [];
      return [...part, ...this.filled(groups)];
    });
    return [...rows, ...this.filled(this.waiting())];
  }

  /** Returns what was decided on tags that this variation has not. */
  waiting() {
    const chips = this.variation?.chips ?? [];
    const kept = this.decisions.keep.map(([region, text]) => ({ text, region, own: false }));
    const banned = this.decisions.ban.map((text) => ({ text, region: 0, own: false }));
    const away = ({ text, region }) => !chips.some((chip) => chip.text === text && chip.region === region);
    const gone = ({ text }) => !chips.some((chip) => chip.text === text);
    return new Map([["keep", kept.filter(away)], ["ban", banned.filter(gone)]]);
  }

  filled(groups) {
    return [...groups].filter(([, chips]) => chips.length).map(([name, chips]) => this.row(name, chips));
  }

  row(name, chips) {
    const row = make("div", "row");
    row.setAttribute("role", "group");
    const said = Object.hasOwn(this.words.rows, name) ? this.words.rows[name] : name;
    row.setAttribute("aria-label", said);
    const label = make("span", "label", said);
    label.setAttribute("aria-hidden", "true");
    const own = chips.filter((chip) => chip.own);
    const added = chips.filter((chip) => !chip.own);
    const line = make("div", "chips");
    line.append(...own.map((chip) => this.ownChip(chip)), ...added.map((chip) => this.chip(chip)));
    row.append(label, line);
    return row;
  }

  ownChip({ text }) {
    const chip = make("span", "chip", text);
    chip.classList.add("presample-own");
    chip.title = this.words.ownTitle;
    return chip;
  }

  chip({ text, region, absent }) {
    const { frozen } = this.state;
    const chip = frozen ? make("span", "chip", text) : button("chip", text, "", () => this.decide(text, region));
    chip.classList.toggle("presample-absent", absent === true);
    if (frozen) return chip;
    chip.dataset.tag = text;
    chip.dataset.region = region;
    chip.tabIndex = -1;
    this.showDecision(chip);
    return chip;
  }

  decide(text, region) {
    this.decisions.cycle(text, region);
    for (const other of this.buttons()) this.showDecision(other); // a ban holds in every part
    this.renderHead();
    this.renderActions();
    this.actions.decided();
  }

  /** Leaves every tag to the model again. */
  forget() {
    this.decisions.clear();
    this.render();
    this.buttons()[0]?.focus();
    this.actions.cleared();
  }

  showDecision(chip) {
    const text = chip.dataset.tag;
    const decision = this.decisions.of(text, Number(chip.dataset.region));
    chip.classList.toggle("presample-keep", decision === "keep");
    chip.classList.toggle("presample-ban", decision === "ban");
    const absent = chip.classList.contains("presample-absent");
    const said = [decision && this.words.decision[decision], absent && this.words.guides].filter(Boolean);
    chip.setAttribute("aria-pressed", String(decision !== ""));
    chip.setAttribute("aria-label", [text, ...said].join(", "));
    chip.title = [absent && this.words.guidesTitle, this.words.chip[decision]].filter(Boolean).join("\n");
  }

  sentences() {
    if (!this.variation.prose.length) return [];
    const prose = make("p", "prose");
    for (const part of this.variation.prose) {
      const sentence = make("span", part.own ? "mine" : "sentence", part.text);
      if (part.absent) {
        sentence.classList.add("presample-absent");
        sentence.title = this.words.absentTitle;
      }
      prose.append(prose.childNodes.length ? " " : "", sentence);
    }
    return [prose];
  }

  renderLive() {
    this.bar.firstChild.style.width = `${(this.live.fraction * 100).toFixed(1)}%`;
    this.bar.setAttribute("aria-valuenow", String(Math.round(this.live.fraction * 100)));
    this.renderHead();
    const texts = this.live.texts[Math.min(this.page, this.live.texts.length - 1)] ?? [];
    const regions = Object.entries(texts); // those that have a text, in their order
    const parts = regions.flatMap(([region, { tags, prose }]) => [
      ...(regions.length > 1 ? [make("p", "part", this.words.part(Number(region) + 1))] : []),
      ...[tags, prose].filter(Boolean).map(({ sure, rest }) => {
        const line = make("p", "stream");
        line.append(make("span", "sure", sure), make("span", "rest", rest));
        return line;
      }),
    ]);
    this.body.replaceChildren(...parts);
  }

  renderActions() {
    const { frozen, rerollable, advanced } = this.state;
    const { actions, decisions, words } = this;
    const prompts = this.variations.some((variation) => variation.prompt);
    const unfreezable = this.whyNotFreeze();
    this.copy.disabled = !this.variation?.prompt;
    this.freeze.hidden = !actions.freeze;
    this.freeze.textContent = frozen ? words.unfreeze : words.freeze;
    this.freeze.disabled = unfreezable !== "" || (!frozen && !prompts);
    this.freeze.title = unfreezable || (frozen ? words.unfreezeTitle : words.freezeTitle);
    this.reroll.disabled = frozen || !rerollable || !this.variation;
    this.reroll.title = rerollable ? words.rerollTitle : words.rerollLinked;
    this.clear.hidden = !actions.cleared || decisions.empty;
    this.advanced.hidden = advanced === null;
    this.advanced.setAttribute("aria-expanded", String(advanced === true));
    this.advanced.title = advanced ? words.foldTitle : words.unfoldTitle;
  }

  whyNotFreeze() {
    const { frozen, freezable } = this.state;
    if (!freezable) return this.words.freezeLinked;
    const cut = !frozen && this.total > this.variations.length;
    return cut ? this.words.freezeCut(this.variations.length, this.total) : "";
  }

  /** Says for a moment in the button that its work is done. */
  copied(done) {
    this.copy.textContent = done ? this.words.copied : this.words.notCopied;
    this.voice.textContent = this.copy.textContent;
    clearTimeout(this.copyTimer);
    this.copyTimer = setTimeout(() => (this.copy.textContent = this.words.copy), 1500);
  }

  // --- keyboard: the chips are one tab stop, the arrow keys go from chip to chip -----------------------------

  buttons() {
    return [...this.body.querySelectorAll("button.presample-chip")];
  }

  chipOf({ tag, region }) {
    return this.buttons().find((chip) => chip.dataset.tag === tag && chip.dataset.region === region);
  }

  setTabStop(target) {
    if (!target?.dataset?.tag) return;
    for (const chip of this.buttons()) chip.tabIndex = chip === target ? 0 : -1;
    if (target === document.activeElement) this.at = { ...target.dataset };
  }

  isGone(element) {
    return element.disabled || !this.element.contains(element) || element.closest("[hidden]") !== null;
  }

  /** Puts the keyboard back on the chip where it was; where there are none, on what is in their place. */
  focusBody() {
    const chip = this.buttons().find((each) => each.tabIndex === 0);
    if (!chip) this.body.tabIndex = -1;
    (chip ?? this.body).focus();
  }

  moveFocus(event) {
    const chips = this.buttons();
    const at = chips.indexOf(document.activeElement);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      Home: 0,
      End: chips.length - 1,
      ArrowDown: this.chipBelow(chips, at, 1),
      ArrowUp: this.chipBelow(chips, at, -1),
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    chips[Math.min(chips.length - 1, Math.max(0, to))].focus();
  }

  /** Returns the place of the nearest chip in the line below (1) or above (-1). */
  chipBelow(chips, at, direction) {
    const here = chips[at].getBoundingClientRect();
    const boxes = chips.map((chip) => chip.getBoundingClientRect());
    const beyond = boxes.map((box, i) => [i, (box.top - here.top) * direction]).filter(([, far]) => far > 4);
    if (!beyond.length) return at;
    const nearest = Math.min(...beyond.map(([, far]) => far));
    const line = beyond.filter(([, far]) => far < nearest + 4).map(([i]) => i);
    const aside = (i) => Math.abs(boxes[i].left - here.left);
    return line.reduce((best, i) => (aside(i) < aside(best) ? i : best));
  }
}
