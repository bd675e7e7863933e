// Undo and redo of the latest change, or of the one that a message is about.

import { post } from "/static/api.js";
import { byId } from "/static/dom.js";
import { showError, toast } from "/static/toast.js";

async function change(verb, number, done) {
  try {
    done(await post(verb, { change: number }));
  } catch (error) {
    showError(error);
  }
}

export const quoted = (text) => text.replaceAll(/'([^']*)'/g, "“$1”");

export const undo = (number) =>
  change("undo", number, ({ change, text }) =>
    toast(`Undone: ${quoted(text)}`, change && { name: "Redo", run: () => redo(change) }));

export const redo = (number) =>
  change("redo", number, ({ change, text }) => toast(`Redone: ${quoted(text)}`, { name: "Undo", run: () => undo(change) }));

export function startUndo() {
  byId("undo").addEventListener("click", () => undo());
  byId("redo").addEventListener("click", () => redo());
}
