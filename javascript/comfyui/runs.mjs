// Whose run it is: the server names a run in each of its messages, and the page has several workflows of which it
// shows one. A result goes to the workflow that was queued, be it shown or not; and into the pictures of later runs
// that ask for the same, for which the server writes nothing again and so stores nothing.

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { storeSaved } from "./host.mjs";

const OURS = ["PresampleTIPOExpand", "PresampleTIPOTask"];
const MOST_RESULTS = 50;

const runs = new Map(); // by run: the workflow that was queued, and by node what was asked
const results = new Map(); // by what was asked, the newest last

const shown = () => app.extensionManager?.workflow?.activeWorkflow;

/** Returns what a node's result depends on as one text: its inputs, and those of all nodes that they come from. */
function question(prompt, id) {
  const found = {};
  const add = (name) => {
    if (!prompt[name] || found[name]) return;
    const { class_type, inputs } = prompt[name];
    found[name] = { class_type, inputs };
    for (const value of Object.values(inputs ?? {})) if (Array.isArray(value)) add(value[0]);
  };
  add(id);
  return JSON.stringify(found);
}

/** Returns by node what each of ours is asked in a prompt. */
function questions(prompt) {
  const ours = Object.keys(prompt ?? {}).filter((id) => OURS.includes(prompt[id]?.class_type));
  return new Map(ours.map((id) => [id, question(prompt, id)]));
}

/** Notes from now on which workflow is queued in each run, and has it hold the results of what is asked in it. */
export function watch() {
  const queuePrompt = api.queuePrompt;
  api.queuePrompt = async function (number, queued, ...rest) {
    const workflow = shown();
    const asked = questions(queued?.output);
    for (const [id, what] of asked) storeSaved(queued.workflow, id, results.get(what));
    const answer = await queuePrompt.call(this, number, queued, ...rest);
    if (answer?.prompt_id) runs.set(answer.prompt_id, { workflow, asked });
    return answer;
  };
}

/** Remembers the result of a node in a run, for those to come. */
export function remember(run, id, result) {
  const what = runs.get(run)?.asked?.get(String(id));
  if (!what) return;
  results.delete(what);
  results.set(what, result);
  if (results.size > MOST_RESULTS) results.delete(results.keys().next().value);
}

/** Returns the workflow of a run. One of which nothing is known was queued before a reload: it is the shown one's. */
export function workflowOf(run) {
  if (!runs.has(run)) runs.set(run, { workflow: shown() });
  return runs.get(run).workflow;
}

/** Whether the page shows the workflow of a run. */
export const isShown = (run) => workflowOf(run) === shown();

/** Forgets a run that has ended. */
export const forget = (run) => runs.delete(run);
