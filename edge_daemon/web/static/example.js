// A taught example in a dialog: its picture, a move to another class, and its removal.

import { post } from "/static/api.js";
import { colourOf } from "/static/classes.js";
import { connection } from "/static/connection.js";
import { byId, counted, make } from "/static/dom.js";
import { restore } from "/static/teach.js";
import { showError, toast } from "/static/toast.js";

let labels = [];
let shown = null;

const close = () => byId("example-dialog")?.close();

async function change(verb, body) {
  try {
    const { ids } = await post(verb, body);
    if (!ids.length) throw new Error("this example was removed meanwhile");
    return true;
  } catch (error) {
    showError(error);
    return false;
  } finally {
    close();
  }
}

async function move(to) {
  const { id, label: from } = shown;
  if (!(await change("relabel", { ids: [id], label: to }))) return;
  toast(`Example moved from “${from}” to “${to}”`, { name: "Undo", run: () => moveBack(id, from) });
}

async function moveBack(id, label) {
  if (await change("relabel", { ids: [id], label })) toast(`Example moved back to “${label}”`);
}

async function remove() {
  const { id, label } = shown;
  if (!(await change("remove", { ids: [id] }))) return;
  toast(`Example of “${label}” removed`, { name: "Undo", run: () => restore([id]) });
}

function moveToTyped(event) {
  event.preventDefault();
  move(byId("example-label").value.trim());
}

const classButton = (label) => make("button", { class: `small ${colourOf(label)}`, onclick: () => move(label) }, make("i", { class: "swatch" }), label);

function makeDialog() {
  const dialog = make("dialog", { id: "example-dialog", class: "example card", "aria-labelledby": "example-title" });
  dialog.addEventListener("click", (event) => event.target === dialog && close());
  document.body.append(dialog);
  return dialog;
}

// `name` says what the example is to the frame, such as "Nearest".
export function openExample(example, name = "") {
  shown = example;
  const { id, label, similarity } = example;
  const others = labels.filter((each) => each !== label);
  const dialog = byId("example-dialog") ?? makeDialog();
  const figures = [name, similarity === undefined ? "" : `similarity ${similarity.toFixed(2)}`, `example ${id}`].filter(Boolean).join(" · ");
  dialog.replaceChildren(
    make("h2", { id: "example-title", class: colourOf(label) }, make("i", { class: "swatch" }), make("span", {}, `Taught as “${label}”`)),
    make("img", { src: `/api/examples/${id}.jpg`, alt: `Picture of example ${id}`, width: 320, height: 240, onerror: ({ target }) => target.classList.add("none") }),
    make("p", { class: "quiet" }, figures),
    make("h3", {}, "Wrong? Move it to"),
    make("div", { class: "choices", role: "group", "aria-label": `Move to one of ${counted(others.length, "class", "classes")}` }, ...others.map(classButton)),
    make(
      "form",
      { onsubmit: moveToTyped },
      make("label", { class: "unseen", for: "example-label" }, "Name of another class"),
      make("input", { id: "example-label", maxlength: 64, autocomplete: "off", placeholder: "Another class", required: "" }),
      make("button", { type: "submit" }, "Move"),
    ),
    make("div", { class: "ends" }, make("button", { class: "danger", onclick: remove }, "Remove it"), make("button", { onclick: close, autofocus: "" }, "It is right")),
  );
  dialog.showModal();
}

document.addEventListener("view", close);
connection.on("examples", ({ counts }) => (labels = Object.keys(counts)));
