// Variations as a list to choose from: each says what it adds, and the chosen one's chips are shown below.

/** `onTake` is called with the place of the variation that was clicked. */
export class List {
  constructor(words, onTake) {
    Object.assign(this, { words, onTake, chosen: null });
    this.element = document.createElement("div");
    this.element.className = "presample-list";
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", words.list);
  }

  get filled() {
    return this.element.childElementCount > 0;
  }

  /** Whether it has variations of which none is chosen. */
  get waits() {
    return this.filled && this.chosen === null;
  }

  /** Lists variations, none of them chosen; an empty list is none. */
  show(variations) {
    this.chosen = null;
    this.element.replaceChildren();
    if (!variations.length) return;
    const title = document.createElement("p");
    title.className = "presample-title";
    title.textContent = this.words.list;
    this.element.append(title, ...variations.map((variation, place) => this.item(variation, place)));
  }

  item({ chips, prose }, place) {
    const added = ({ own }) => !own;
    const tags = chips.filter(added).map(({ text }) => text).join(", ");
    const sentences = prose.filter(added).map(({ text }) => text).join(" ");
    const item = document.createElement("button");
    item.type = "button";
    item.className = "presample-choice";
    item.setAttribute("aria-pressed", "false");
    const number = document.createElement("span");
    number.className = "presample-number";
    number.textContent = String(place + 1);
    const text = document.createElement("span");
    text.className = "presample-text";
    text.textContent = [tags, sentences].filter(Boolean).join(". ") || this.words.nothing;
    item.append(number, text);
    item.addEventListener("click", () => this.choose(place));
    return item;
  }

  choose(place) {
    this.chosen = place;
    const items = this.element.querySelectorAll("button");
    items.forEach((item, k) => item.setAttribute("aria-pressed", String(k === place)));
    this.onTake(place);
  }
}
