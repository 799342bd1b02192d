// Whose run it is: the server names a run in each of its messages, and the page has several workflows of which it
// shows one. A result goes to the workflow that was queued, be it shown or not.

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

const workflows = new Map(); // by run: the workflow that was queued

const shown = () => app.extensionManager?.workflow?.activeWorkflow;

/** Notes from now on which workflow is queued in each run. */
export function watch() {
  const queuePrompt = api.queuePrompt;
  api.queuePrompt = async function (...args) {
    const workflow = shown();
    const answer = await queuePrompt.apply(this, args);
    if (answer?.prompt_id) workflows.set(answer.prompt_id, workflow);
    return answer;
  };
}

/** Returns the workflow of a run. One of which nothing is known was queued before a reload: it is the shown one's. */
export function workflowOf(run) {
  if (!workflows.has(run)) workflows.set(run, shown());
  return workflows.get(run);
}

/** Whether the page shows the workflow of a run. */
export const isShown = (run) => workflowOf(run) === shown();

/** Forgets a run that has ended. */
export const forget = (run) => workflows.delete(run);
