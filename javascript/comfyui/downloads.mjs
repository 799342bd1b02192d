// The switch with which nodes may download: a workflow that is opened never brings it along switched on, since
// gigabytes are fetched when somebody asks for them, not when somebody else did.

import { chain, widgetOf } from "./host.mjs";

const asked = new Set(); // what nodes were set to when their state was saved here with the switch on

const settings = (node) => JSON.stringify([node.type, node.widgets.map(({ name, value }) => [name, value])]);

/** Switches a node's download off where its state is not one of this page, as those of undo, tabs and copies are. */
export function guardDownload(node) {
  const widget = widgetOf(node, "download");
  if (!widget || !node.comfyClass?.startsWith("Presample")) return;
  chain(node, "onSerialize", () => {
    if (widget.value === true) asked.add(settings(node));
  });
  chain(node, "onConfigure", () => {
    if (widget.value === true && !asked.has(settings(node))) widget.value = false;
  });
}
