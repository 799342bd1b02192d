// What the node sent and what the user decided, read from JSON that may come from a stranger's workflow.

const MOST_VARIATIONS = 64;
const MOST_ITEMS = 4000;

const list = (value) => (Array.isArray(value) ? value.slice(0, MOST_ITEMS) : []);
const text = (value) => (typeof value === "string" ? value : "");
const number = (value) => (Number.isFinite(value) ? value : null);
const record = (value) => (value && typeof value === "object" && !Array.isArray(value) ? value : {});

/** Returns the variations in a payload: the list itself, or the list under `presample`; anything else is none. */
export function readResult(payload) {
  const variations = Array.isArray(payload) ? payload : record(payload).presample;
  return list(variations).slice(0, MOST_VARIATIONS).map((item) => readVariation(record(item)));
}

function readVariation(item) {
  const chips = new Map();
  for (const chip of list(item.chips).map(record)) {
    const tag = text(chip.text);
    if (tag && !chips.has(tag)) {
      chips.set(tag, { text: tag, category: text(chip.category) || "general", own: chip.own === true });
    }
  }
  return {
    seed: typeof item.seed === "string" || Number.isFinite(item.seed) ? String(item.seed) : "",
    prompt: text(item.prompt),
    chips: [...chips.values()],
    prose: list(item.prose)
      .map(record)
      .map((part) => ({ text: text(part.text), own: part.own === true }))
      .filter((part) => part.text),
    notes: list(item.notes).map(text).filter(Boolean),
    refusals: list(item.refusals)
      .map(record)
      .map((part) => ({ text: text(part.text), reason: text(part.reason) }))
      .filter((part) => part.text),
    seconds: number(item.seconds),
    tokens: number(item.tokens),
  };
}

/** Which tags the user keeps or bans: the widget's value, and so part of the prompt. */
export class Decisions {
  constructor() {
    this.keep = [];
    this.ban = [];
  }

  /** Takes a widget value; what it cannot read becomes "nothing decided". */
  read(value) {
    let given = value;
    if (typeof value === "string") {
      try {
        given = JSON.parse(value || "{}");
      } catch {
        given = {}; // a value from elsewhere, such as text pasted into the workflow file
      }
    }
    const strings = (items) => [...new Set(list(items).map(text).filter(Boolean))];
    this.keep = strings(record(given).keep);
    this.ban = strings(record(given).ban).filter((tag) => !this.keep.includes(tag));
  }

  write() {
    return JSON.stringify({ keep: this.keep, ban: this.ban });
  }

  /** Returns "keep", "ban" or "" for neutral. */
  of(tag) {
    if (this.keep.includes(tag)) return "keep";
    return this.ban.includes(tag) ? "ban" : "";
  }

  /** Moves a tag on: neutral, keep, ban, neutral. */
  cycle(tag) {
    const was = this.of(tag);
    this.keep = this.keep.filter((other) => other !== tag);
    this.ban = this.ban.filter((other) => other !== tag);
    if (was === "") this.keep.push(tag);
    if (was === "keep") this.ban.push(tag);
  }
}
