// What the chips ask of ComfyUI's page: widgets by name, undo, folding, where a node is. Written for frontends
// 1.26 to 1.58; everything that is not in all of them is asked for with `?.`.

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

export const CHIPS = "PRESAMPLE_CHIPS";

/** The language that the user chose, such as "ja". */
export const locale = () => app.extensionManager?.setting?.get?.("Comfy.Locale");

export const isVue = () => globalThis.LiteGraph?.vueNodesMode === true;

export const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name);

const inputOf = (node, name) => node.inputs?.find((input) => input.widget?.name === name);

/** Whether something is connected to the widget's socket, so that its own value does not count. */
export const isLinked = (node, name) => inputOf(node, name)?.link != null;

/** Sets a widget as if the user had; returns whether it is there and its value counts. */
export function setWidget(node, name, value) {
  const widget = widgetOf(node, name);
  if (!widget || isLinked(node, name)) return false;
  widget.value = value;
  widget.callback?.(value, app.canvas, node);
  return true;
}

const tracker = () => app.extensionManager?.workflow?.activeWorkflow?.changeTracker;

/** Makes one step of undo of what was changed just now. */
export function capture(node) {
  node.graph?.change?.();
  const changes = tracker();
  (changes?.captureCanvasState ?? changes?.checkState)?.call(changes);
}

/**
 * Puts a result into the node's properties without a step of undo of its own: taking back a click must not
 * take back the text that was clicked on.
 */
export function storeResult(node, payload) {
  if (JSON.stringify(node.properties?.presample) === JSON.stringify(payload)) return;
  node.properties ??= {};
  node.properties.presample = payload;
  const state = tracker()?.activeState;
  const saved = savedNode(state, node);
  if (!saved) return;
  saved.properties = { ...saved.properties, presample: JSON.parse(JSON.stringify(payload)) };
  api.dispatchCustomEvent?.("graphChanged", state); // so that the draft in the browser has it after a reload
}

const strayed = new WeakMap(); // by tracker: results that the page handed to it and that belong to other tabs

/**
 * Whether a result was queued in another tab: the page hands it to the node with that id in the open one. The
 * trackers of all open workflows keep the very object that came, each what it has queued.
 */
export function isStray(output) {
  const workflows = app.extensionManager?.workflow;
  const has = (workflow) => Object.values(workflow.changeTracker?.nodeOutputs ?? {}).includes(output);
  const here = workflows?.activeWorkflow?.path;
  const stray = (workflows?.openWorkflows ?? []).some((other) => other.path !== here && has(other));
  if (stray && tracker()) {
    if (!strayed.has(tracker())) strayed.set(tracker(), new Set());
    strayed.get(tracker()).add(JSON.stringify(output.presample));
  }
  return stray;
}

/** Whether a result that is restored with the open tab is a stray one. */
export const hasStrayed = (output) => strayed.get(tracker())?.has(JSON.stringify(output.presample)) === true;

function savedNode(state, node) {
  const nodes =
    state?.definitions?.subgraphs?.find((graph) => graph.id === node.graph?.id)?.nodes ?? state?.nodes;
  return nodes?.find((saved) => String(saved.id) === String(node.id) && saved.type === node.type);
}

const root = () => app.rootGraph ?? app.graph;

/** Returns the node that the server calls `id`, such as "7", or "4:7" inside subgraph node 4. */
export function nodeAt(id) {
  let graph = root();
  let node;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById?.(part) ?? graph?.getNodeById?.(Number(part));
    graph = node?.subgraph;
  }
  return node;
}

/** Returns what the server calls the node; null where it is in no subgraph of the open workflow. */
function idOf(node, graph = root(), path = "") {
  if (node.graph === graph || !node.graph) return path + node.id;
  for (const other of graph?.nodes ?? []) {
    const found = other.subgraph && idOf(node, other.subgraph, `${path}${other.id}:`);
    if (found) return found;
  }
  return null;
}

/** Queues the workflow, or what this node alone needs. */
export function queue(node, { only = false } = {}) {
  const id = only ? idOf(node) : null;
  return id ? app.queuePrompt(0, 1, [id]) : app.queuePrompt(0, 1);
}

function isAdvanced(node, widget) {
  if (widget.options?.advanced !== undefined) return widget.options.advanced === true;
  const inputs = node.constructor.nodeData?.input;
  const spec = inputs?.required?.[widget.name] ?? inputs?.optional?.[widget.name];
  return spec?.[1]?.advanced === true;
}

/** Whether the node needs a toggle of ours: Vue nodes have one of their own. */
export function canFold(node) {
  const always = app.extensionManager?.setting?.get?.("Comfy.Node.AlwaysShowAdvancedWidgets");
  return !isVue() && !always && (node.widgets ?? []).some((widget) => isAdvanced(node, widget));
}

/** The widgets that only matter at one value of another: [widget, the other, value]. */
function dependents(node) {
  const found = [["frozen", "mode", "frozen"]];
  for (const { name } of node.widgets ?? []) {
    if (name.endsWith("_template")) found.push([name, name.slice(0, -"_template".length), "custom"]);
  }
  return found.filter(([name, other]) => widgetOf(node, name) && widgetOf(node, other));
}

/** Returns the widgets whose value decides which others are shown. */
export const deciders = (node) => [
  ...new Set(dependents(node).map(([, other]) => widgetOf(node, other))),
];

/** Shows the widgets that matter now. Hidden ones keep their place and value in the saved workflow. */
export function fold(node, folded = canFold(node) && !node.showAdvanced) {
  for (const widget of node.widgets ?? []) {
    if (isAdvanced(node, widget)) widget.hidden = folded && !isLinked(node, widget.name);
  }
  for (const [name, other, value] of dependents(node)) {
    const matters = widgetOf(node, other).value === value || isLinked(node, other) || isLinked(node, name);
    hide(widgetOf(node, name), !matters);
  }
}

function hide(widget, hidden) {
  widget.hidden = hidden;
  if (widget.options) widget.options.hidden = hidden;
  const seen = widget._state?.options; // the reactive copy that Vue nodes look at
  if (seen && seen.hidden !== hidden) seen.hidden = hidden;
}

/** Gives a new node the size of what it shows; Vue nodes start from it too. */
export function fit(node) {
  fold(node, true);
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width), height]);
  fold(node);
}

/** Folds and gives the node the height that came or went; in Vue the page does that itself. */
export function refold(node) {
  const before = node.computeSize()[1];
  fold(node);
  if (isVue()) return;
  const after = node.computeSize()[1];
  node.setSize([node.size[0], Math.max(after, node.size[1] + after - before)]);
  node.setDirtyCanvas?.(true, true);
}
