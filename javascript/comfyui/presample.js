// The tag chips of the TIPO nodes in ComfyUI. The widget's value is only what the user decided; the text that
// was written lies in node.properties.presample, which is saved with the workflow and is no part of the prompt.

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { Chips } from "./chips.mjs";
import { copyText } from "./clipboard.mjs";
import { guardApiJson, guardDownload } from "./downloads.mjs";
import * as host from "./host.mjs";
import { Decisions, countOf, kept, readResult, stored } from "./result.mjs";
import * as runs from "./runs.mjs";
import { wordsOf } from "./words.mjs";

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
        this.refresh();
      },
      getMinHeight: () => LEAST_HEIGHT,
    });
    this.widget.presample = this;
    this.view.render();
    host.shareWithCanvas(this.view.element, (event) => this.view.scrolls(event));
  }

  /** Shows the result that lies in the node's properties. */
  show(options) {
    const payload = this.node.properties?.presample;
    this.refresh();
    this.view.show(readResult(payload), { ...options, total: countOf(payload) });
  }

  /** Shows what the node's widgets say. */
  refresh() {
    const { node, view } = this;
    view.refresh({
      frozen: host.widgetOf(node, "mode")?.value === "frozen",
      freezable: ["mode", "frozen"].every((name) => host.isSettable(node, name)),
      rerollable: host.isSettable(node, "seed"),
      advanced: host.canFold(node) ? node.showAdvanced === true : null,
    });
  }

  take(payload) {
    host.storeResult(this.node, kept(payload));
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
      host.setWidget(node, "frozen", stored(view.variations));
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
    this.refresh();
  }
}

function everyNode(visit, graph = app.rootGraph ?? app.graph) {
  for (const node of graph?.nodes ?? []) {
    visit(node);
    if (node.subgraph) everyNode(visit, node.subgraph);
  }
}

const everyChips = (visit) => everyNode((node) => chipsOf(node) && visit(chipsOf(node)));

/** Brings a result to the node that made it, in the workflow that was queued. */
function deliver(run, id, result) {
  runs.remember(run, id, kept(result));
  if (runs.isShown(run)) chipsOf(host.nodeAt(id))?.take(result);
  else host.storeBehind(runs.workflowOf(run), id, kept(result));
}

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
    runs.watch();
    guardApiJson(app);
    api.addEventListener("presample.progress", ({ detail }) => {
      if (runs.isShown(detail?.prompt_id)) chipsOf(host.nodeAt(detail.node))?.view.stream(detail);
    });
    api.addEventListener("executed", ({ detail }) => {
      const result = detail?.output?.presample;
      if (result) deliver(detail.prompt_id, detail.display_node || detail.node, result);
    });
    for (const end of ENDS) {
      api.addEventListener(end, ({ detail }) => {
        everyChips((chips) => chips.view.endStream(detail?.prompt_id));
        runs.forget(detail?.prompt_id);
      });
    }
    app.ui?.settings?.addEventListener?.("Comfy.VueNodes.Enabled.change", () =>
      setTimeout(() => everyChips((chips) => chips.refold())),
    );
  },

  nodeCreated(node) {
    guardDownload(node);
    const chips = chipsOf(node);
    if (!chips) return;
    host.chain(node, "onConfigure", () => {
      host.fold(node);
      chips.show();
    });
    host.chain(node, "onConnectionsChange", () => {
      if (!app.configuringGraph) chips.refold();
    });
    for (const widget of host.deciders(node)) host.chain(widget, "callback", () => chips.refold());
    host.fit(node);
    chips.show();
  },

  /** A run that is opened from the history has its results here, and the nodes those of the run before. */
  onNodeOutputsUpdated(outputs) {
    if (host.isReopened()) return;
    for (const [id, output] of Object.entries(outputs ?? {})) {
      if (output?.presample) chipsOf(host.nodeAt(id))?.take(output.presample);
    }
  },
});
