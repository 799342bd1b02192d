// The switch with which nodes may download: a workflow that is opened never brings it along switched on, since
// gigabytes are fetched when somebody asks for them, not when somebody else did. So it has no socket either: what
// comes from another node, or from around a subgraph, would count in its place.

import { chain, widgetOf } from "./host.mjs";

const NAME = "download";
const asked = new Set(); // what nodes were set to when their state was saved here with the switch on

const settings = (node) => JSON.stringify([node.type, node.widgets.map(({ name, value }) => [name, value])]);

function removeSocket(node) {
  const isOurs = ({ name, widget }) => name === NAME || widget?.name === NAME;
  for (let slot; (slot = node.inputs?.findIndex(isOurs) ?? -1) >= 0; ) node.removeInput(slot);
}

/** Has workflows in API format, and pictures with no other, opened with the switch off: nodes are not told of those. */
export function guardApiJson(app) {
  const loadApiJson = app.loadApiJson;
  if (!loadApiJson) return;
  const switchedOff = (node) =>
    node?.class_type?.startsWith?.("Presample") && node.inputs?.download
      ? { ...node, inputs: { ...node.inputs, download: false } }
      : node;
  app.loadApiJson = function (data, ...rest) {
    const nodes = Object.entries(data ?? {}).map(([id, node]) => [id, switchedOff(node)]);
    return loadApiJson.call(this, Object.fromEntries(nodes), ...rest);
  };
}

/** Switches a node's download off where its state is not one of this page, as those of undo, tabs and copies are. */
export function guardDownload(node) {
  const widget = widgetOf(node, NAME);
  if (!widget || !node.comfyClass?.startsWith("Presample")) return;
  const guard = () => {
    if (widget.value === true && !asked.has(settings(node))) widget.value = false;
  };
  removeSocket(node);
  chain(node, "onSerialize", () => {
    if (widget.value === true) asked.add(settings(node));
  });
  chain(node, "onConfigure", guard);
  chain(node, "onAfterGraphConfigured", () => {
    removeSocket(node); // one that the workflow has brought, whose link is known by now on both of its ends
    guard();
  });
}
