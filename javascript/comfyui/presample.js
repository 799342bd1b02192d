// The tag chips of the TIPO nodes in ComfyUI. The widget's value is only what the user decided; the text that
// was written lies in node.properties.presample, which is saved with the workflow and is no part of the prompt.

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { Chips } from "./chips.mjs";
import { copyText } from "./clipboard.mjs";
import { Decisions, readResult } from "./result.mjs";
import { wordsOf } from "./words.mjs";
import * as host from "./host.mjs";

const LEAST_HEIGHT = 262; // presample.css asks for 240, and classic nodes take a margin of 10 above and below
const LEAST_WIDTH = 340;
const ENDS = ["execution_interrupted", "execution_error", "execution_success"];

const chipsOf = (node) => node?.widgets?.find((widget) => widget.type === host.CHIPS)?.presample;

/** One node's chips, its decisions and its result. */
class TagChips {
  constructor(node, name, spec) {
    this.node = node;
    this.decisions = new Decisions();
    const actions = {
      decided: () => this.decided(),
      copy: () => this.copy(),
      freeze: () => this.freeze(),
      reroll: (only) => this.reroll(only),
      advanced: () => this.advanced(),
    };
    this.view = new Chips(this.decisions, actions, wordsOf(host.locale()));
    this.widget = node.addDOMWidget(name, host.CHIPS, this.view.element, {
      socketless: spec?.socketless ?? true,
      getValue: () => this.decisions.write(),
      setValue: (value) => {
        this.decisions.read(value);
        this.show();
      },
      getMinHeight: () => LEAST_HEIGHT,
    });
    this.widget.presample = this;
    this.view.render();
  }

  /** Shows what lies in the node's properties and widgets. */
  show(options) {
    const { node, view } = this;
    view.state = {
      frozen: host.widgetOf(node, "mode")?.value === "frozen",
      freezable: ["mode", "frozen"].every((name) => host.widgetOf(node, name) && !host.isLinked(node, name)),
      advanced: host.canFold(node) ? node.showAdvanced === true : null,
    };
    view.show(readResult(node.properties?.presample), options);
  }

  take(payload) {
    host.storeResult(this.node, payload);
    this.show({ announce: true });
  }

  decided() {
    this.widget.callback?.(this.widget.value, app.canvas, this.node);
    host.capture(this.node);
  }

  async copy() {
    this.view.copied(await copyText(this.view.variation.prompt));
  }

  freeze() {
    const { node, view } = this;
    if (view.state.frozen) {
      host.setWidget(node, "mode", "generate");
    } else {
      host.setWidget(node, "frozen", view.variations.map(({ prompt }) => prompt).join("\n---\n"));
      host.setWidget(node, "mode", "frozen");
    }
    host.capture(node);
  }

  reroll(only) {
    const [high, low] = crypto.getRandomValues(new Uint32Array(2));
    host.setWidget(this.node, "seed", (high % 2 ** 18) * 2 ** 32 + low); // 50 bits: exact in JSON for everybody
    host.capture(this.node);
    host.queue(this.node, { only });
  }

  advanced() {
    this.node.showAdvanced = !this.node.showAdvanced;
    this.refold();
    host.capture(this.node);
  }

  refold() {
    host.refold(this.node);
    this.show();
  }
}

function chain(object, name, after) {
  const original = object[name];
  object[name] = function (...args) {
    const result = original?.apply(this, args);
    after.apply(this, args);
    return result;
  };
}

function everyNode(visit, graph = app.rootGraph ?? app.graph) {
  for (const node of graph?.nodes ?? []) {
    visit(node);
    if (node.subgraph) everyNode(visit, node.subgraph);
  }
}

const everyChips = (visit) => everyNode((node) => chipsOf(node) && visit(chipsOf(node)));

app.registerExtension({
  name: "presample.chips",

  init() {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL("./presample.css", import.meta.url).href;
    document.head.append(style);
  },

  getCustomWidgets() {
    return {
      [host.CHIPS]: (node, name, input) => ({
        widget: new TagChips(node, name, input?.[1]).widget,
        minWidth: LEAST_WIDTH,
        minHeight: LEAST_HEIGHT,
      }),
    };
  },

  setup() {
    api.addEventListener("presample.progress", ({ detail }) => {
      chipsOf(host.nodeAt(detail?.node))?.view.stream(detail);
    });
    for (const end of ENDS) api.addEventListener(end, () => everyChips((chips) => chips.view.endStream()));
    app.ui?.settings?.addEventListener?.("Comfy.VueNodes.Enabled.change", () =>
      setTimeout(() => everyChips((chips) => chips.refold())),
    );
  },

  nodeCreated(node) {
    const chips = chipsOf(node);
    if (!chips) return;
    chain(node, "onExecuted", (output) => {
      if (!output?.presample) return;
      queueMicrotask(() => host.isStray(output) || chips.take(output.presample)); // when all have heard of it
    });
    chain(node, "onConfigure", () => {
      host.fold(node);
      chips.show();
    });
    chain(node, "onConnectionsChange", () => {
      if (!app.configuringGraph) chips.refold();
    });
    for (const widget of host.deciders(node)) chain(widget, "callback", () => chips.refold());
    host.fit(node);
    chips.show();
  },

  /** A tab that was in the background while its node ran has the result here, not in its properties. */
  onNodeOutputsUpdated(outputs) {
    everyChips((chips) => {
      const output = outputs?.[chips.node.id] ?? outputs?.[`${chips.node.graph?.id}:${chips.node.id}`];
      if (output?.presample && !host.hasStrayed(output)) chips.take(output.presample);
    });
  },
});
