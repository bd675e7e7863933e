// The dialog of one label: rename it, merge it into another, delete it, add pictures to it.

import { post } from "/static/api.js";
import { connection } from "/static/connection.js";
import { byId, counted, make, write } from "/static/dom.js";
import { toast } from "/static/toast.js";
import { undo } from "/static/undo.js";

let counts = {};
let label = "";

const dialog = () => byId("label-dialog");
const typed = () => byId("rename-to").value.trim();

function show() {
  const other = typed() in counts && typed() !== label;
  write(byId("rename-button"), other ? `Merge into “${typed()}”` : "Rename");
  byId("rename-button").disabled = !typed() || typed() === label;
  write(byId("label-count"), counted(counts[label] ?? 0, "example"));
}

export function openLabel(name) {
  label = name;
  write(byId("label-title"), label);
  byId("rename-to").value = label;
  byId("label-names").replaceChildren(...Object.keys(counts).filter((each) => each !== label).map((value) => make("option", { value })));
  show();
  dialog().showModal();
  byId("rename-to").select();
}

async function execute(verb, body, describe) {
  try {
    const reply = await post(verb, body);
    dialog().close();
    const rest = (reply.still_named ?? []).map((use) => `. ${use}`).join("");
    toast(describe(reply) + rest, { name: "Undo", run: () => undo(reply.change) });
  } catch (error) {
    write(byId("label-error"), error.message);
  }
}

function rename(event) {
  event.preventDefault();
  const to = typed();
  if (to in counts) execute("merge", { labels: [label], into: to }, ({ count }) => `“${label}” merged into “${to}”: ${counted(count, "example")}`);
  else execute("rename", { label, to }, ({ label: now }) => `“${label}” is now “${now}”`);
}

// The label of the open dialog, for the files that are chosen in it.
export const openedLabel = () => label;
export const closeLabel = () => dialog().close();

export function startLabels() {
  connection.on("examples", (message) => {
    counts = message.counts;
    if (dialog().open) label in counts ? show() : dialog().close();
  });
  byId("rename-to").addEventListener("input", show);
  byId("rename").addEventListener("submit", rename);
  byId("label-delete").addEventListener("click", () => execute("clear", { label }, ({ removed }) => `“${label}” deleted: ${counted(removed, "example")}`));
  byId("label-close").addEventListener("click", closeLabel);
  dialog().addEventListener("close", () => write(byId("label-error"), ""));
  // A tap beside the dialog closes it.
  dialog().addEventListener("click", (event) => event.target === dialog() && closeLabel());
}
