// What the host sent and what the user decided, read from JSON that may come from a stranger's workflow.

const MOST_VARIATIONS = 64; // that a workflow holds: it is in every picture, every step of undo and every draft
const MOST_ITEMS = 4000;

const list = (value) => (Array.isArray(value) ? value.slice(0, MOST_ITEMS) : []);
const text = (value) => (typeof value === "string" ? value : "");
const number = (value) => (Number.isFinite(value) ? value : null);
const place = (value) => (Number.isInteger(value) && value > 0 ? value : 0);
const record = (value) => (value && typeof value === "object" && !Array.isArray(value) ? value : {});

/** The list in a payload: itself, or what is under `presample`; anything else is none. */
function variationsIn(payload) {
  const variations = Array.isArray(payload) ? payload : record(payload).presample;
  return Array.isArray(variations) ? variations : [];
}

/** A variation as workflows hold it. The server sends it as JSON: the page counts objects as files that were made. */
function parsed(item) {
  if (typeof item !== "string") return item;
  try {
    return JSON.parse(item);
  } catch {
    return {};
  }
}

const first = (payload) => variationsIn(payload).slice(0, MOST_VARIATIONS).map(parsed);

/** Returns the variations in a payload. */
export function readResult(payload) {
  return first(payload).map((item) => readVariation(record(item)));
}

/** Returns how many variations were written, also where the payload holds only the first. */
export function countOf(payload) {
  return Math.max(place(record(payload).total), variationsIn(payload).length);
}

/** Returns what of a payload is kept in a workflow: the first variations, and how many there were. */
export function kept(payload) {
  const [variations, total] = [first(payload), countOf(payload)];
  return total > MOST_VARIATIONS ? { presample: variations, total } : variations;
}

/** Returns the prompts as one text, parted by lines of ---; such a line of a prompt, or a blank prompt, gets a \. */
export function stored(variations) {
  const whole = (line) => line.replace(/^([ \t]*)(\\*---[ \t]*\r?)$/, "$1\\$2");
  const isBlank = (prompt) => /^\\*[ \t\r\n]*$/.test(prompt);
  const written = (prompt) => (isBlank(prompt) ? `\\${prompt}` : prompt.split("\n").map(whole).join("\n"));
  return variations.map(({ prompt }) => written(prompt)).join("\n---\n");
}

function readVariation(item) {
  const chips = new Map();
  for (const chip of list(item.chips).map(record)) {
    const made = { ...readPart(chip), category: text(chip.category) || "general", region: place(chip.region) };
    const key = `${made.region} ${made.text}`;
    if (made.text && !chips.has(key)) chips.set(key, made);
  }
  return {
    seed: typeof item.seed === "string" || Number.isFinite(item.seed) ? String(item.seed) : "",
    prompt: text(item.prompt),
    chips: [...chips.values()],
    prose: list(item.prose)
      .map((part) => readPart(record(part)))
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

/** A tag or a sentence: whose it is, and whether it is an addition that the prompt itself has not. */
function readPart(item) {
  const own = item.own === true;
  return { text: text(item.text), own, absent: !own && item.in_prompt === false };
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
