// What the host sent and what the user decided, read from JSON that may come from a stranger's workflow.

const MOST_VARIATIONS = 64;
const MOST_ITEMS = 4000;

const list = (value) => (Array.isArray(value) ? value.slice(0, MOST_ITEMS) : []);
const text = (value) => (typeof value === "string" ? value : "");
const number = (value) => (Number.isFinite(value) ? value : null);
const place = (value) => (Number.isInteger(value) && value > 0 ? value : 0);
const record = (value) => (value && typeof value === "object" && !Array.isArray(value) ? value : {});

/** Returns the variations in a payload: the list itself, or the list under `presample`; anything else is none. */
export function readResult(payload) {
  const variations = Array.isArray(payload) ? payload : record(payload).presample;
  return list(variations).slice(0, MOST_VARIATIONS).map((item) => readVariation(record(item)));
}

function readVariation(item) {
  const chips = new Map();
  for (const chip of list(item.chips).map(record)) {
    const made = { text: text(chip.text), category: text(chip.category) || "general", own: chip.own === true };
    made.region = place(chip.region);
    const key = `${made.region} ${made.text}`;
    if (made.text && !chips.has(key)) chips.set(key, made);
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

/** Returns a kept tag as [region, tag], whether it is that or a tag of the first region; null for anything else. */
function readKept(item) {
  const [region, tag] = Array.isArray(item) ? item : [0, item];
  return text(tag) && [place(region), tag];
}

/**
 * Which tags the user keeps or bans: the widget's value, and so part of the prompt. A tag is kept in its region
 * of the prompt and banned in all of them.
 */
export class Decisions {
  constructor() {
    this.keep = []; // [region, tag]
    this.ban = [];
  }

  get empty() {
    return this.keep.length + this.ban.length === 0;
  }

  clear() {
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
    this.keep = [];
    for (const kept of list(record(given).keep).map(readKept)) {
      if (kept && this.of(kept[1], kept[0]) === "") this.keep.push(kept);
    }
    const banned = list(record(given).ban).map(text).filter(Boolean);
    this.ban = [...new Set(banned)].filter((tag) => !this.keep.some(([, kept]) => kept === tag));
  }

  write() {
    const keep = this.keep.map(([region, tag]) => (region ? [region, tag] : tag));
    return JSON.stringify({ keep, ban: this.ban });
  }

  /** Returns "keep", "ban" or "" for neutral. */
  of(tag, region = 0) {
    if (this.keep.some(([at, kept]) => kept === tag && at === region)) return "keep";
    return this.ban.includes(tag) ? "ban" : "";
  }

  /** Moves a tag on: neutral, keep, ban, neutral. */
  cycle(tag, region = 0) {
    const was = this.of(tag, region);
    if (was === "") this.keep.push([region, tag]);
    if (was === "keep") {
      this.keep = this.keep.filter(([, kept]) => kept !== tag);
      this.ban.push(tag);
    }
    if (was === "ban") this.ban = this.ban.filter((banned) => banned !== tag);
  }
}
