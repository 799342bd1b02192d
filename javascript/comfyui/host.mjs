// What the chips ask of ComfyUI's page: widgets by name, undo, folding, where a node is. Written for frontends
// 1.26 to 1.58; everything that is not in all of them is asked for with `?.`.

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

export const CHIPS = "PRESAMPLE_CHIPS";

// As models/options.py has them.
const CUSTOM = "custom";
const TEMPLATE = "_template";

/** The language that the user chose, such as "ja". */
export const locale = () => app.extensionManager?.setting?.get?.("Comfy.Locale");

export const isVue = () => globalThis.LiteGraph?.vueNodesMode === true;

export const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name);

/** Has a method of an object followed by `after`, which gets the same arguments. */
export function chain(object, name, after) {
  const original = object[name];
  object[name] = function (...args) {
    const result = original?.apply(this, args);
    after.apply(this, args);
    return result;
  };
}

const inputOf = (node, name) => node.inputs?.find((input) => input.widget?.name === name);

/** Whether something is connected to the widget's socket, so that its own value does not count. */
export const isLinked = (node, name) => inputOf(node, name)?.link != null;

/** Whether the widget is there and its own value counts. */
export const isSettable = (node, name) => Boolean(widgetOf(node, name)) && !isLinked(node, name);

/** Sets a widget as if the user had, where its value counts. */
export function setWidget(node, name, value) {
  if (!isSettable(node, name)) return;
  const widget = widgetOf(node, name);
  widget.value = value;
  widget.callback?.(value, app.canvas, node);
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

/** Puts a result into a workflow that the page does not show now, to be there when it does. */
export function storeBehind(workflow, id, payload) {
  storeSaved(workflow?.changeTracker?.activeState, id, payload);
}

/** Puts a result into a saved workflow, in the place of the one that is there; undefined for none. */
export function storeSaved(state, id, payload) {
  let nodes = state?.nodes;
  let saved;
  for (const part of String(id).split(":")) {
    saved = nodes?.find((node) => String(node.id) === part);
    nodes = state?.definitions?.subgraphs?.find((graph) => graph.id === saved?.type)?.nodes;
  }
  if (saved) saved.properties = { ...saved.properties, presample: payload };
}

/** Whether the page has just gone back to a workflow, which then has its results in its nodes. */
export const isReopened = () => Boolean(tracker()?.nodeOutputs);

function savedNode(state, node) {
  const nodes =
    state?.definitions?.subgraphs?.find((graph) => graph.id === node.graph?.id)?.nodes ?? state?.nodes;
  return nodes?.find((saved) => String(saved.id) === String(node.id) && saved.type === node.type);
}

const root = () => app.rootGraph ?? app.graph;

/**
 * Returns the node that the server calls `id`, such as "7", or "4:7" inside subgraph node 4; or the page, which
 * has the name of the subgraph in the place of the way to it.
 */
export function nodeAt(id) {
  const [first, ...rest] = String(id).split(":");
  const named = rest.length ? root()?.subgraphs?.get?.(first) : undefined;
  let graph = named ?? root();
  let node;
  for (const part of named ? rest : [first, ...rest]) {
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
    if (name.endsWith(TEMPLATE)) found.push([name, name.slice(0, -TEMPLATE.length), CUSTOM]);
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

/**
 * Hands the canvas what is meant for it and happens over an element of a classic node, as ComfyUI's text boxes do:
 * the wheel, unless it `scrolls` something, and dragging with the middle button. Vue nodes do that themselves.
 */
export function shareWithCanvas(element, scrolls) {
  const share = (name, isMeant, method) =>
    element.addEventListener(name, (event) => {
      if (isVue() || !isMeant(event)) return;
      event.preventDefault();
      app.canvas[method](event);
    });
  share("wheel", (event) => !scrolls(event), "processMouseWheel");
  share("pointerdown", (event) => event.button === 1, "processMouseDown");
  share("pointermove", (event) => event.buttons & 4, "processMouseMove");
  share("pointerup", (event) => event.button === 1, "processMouseUp");
}
