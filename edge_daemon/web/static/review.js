// The review: all examples by class; selected ones are moved, deleted or restored.

import { get, post } from "/static/api.js";
import { colourOf } from "/static/classes.js";
import { isInCell, showConfusion } from "/static/confusion.js";
import { connection } from "/static/connection.js";
import { byId, counted, make, write } from "/static/dom.js";
import { drawMap, showPoint } from "/static/map.js";
import { clearSelection, keepOnly, select, selection, startSelection } from "/static/selection.js";
import { restore } from "/static/teach.js";
import { showError, toast } from "/static/toast.js";

const DELAY_MS = 250;

let examples = [];
let filter = "all";
let visible = false;
let timer = 0;
let busy = null;
let stale = false;

const matches = (example) => filter === "all" || (filter === "cell" ? isInCell(example) : Boolean(example[filter]));

function option(example) {
  const { id, label, near_duplicate, outlier, at } = example;
  const marks = [near_duplicate && "near-duplicate", outlier && `outlier, nearest to ${outlier}`].filter(Boolean).join(", ");
  const time = new Date(at).toLocaleString();
  return make(
    "div",
    { role: "option", class: "thumb", id: `example-${id}`, "data-id": id, "aria-selected": selection.has(id), "aria-label": [`${label}, ${time}`, marks].filter(Boolean).join(", "), title: [time, marks].filter(Boolean).join("\n") },
    make("img", { src: `/api/examples/${id}.jpg`, alt: "", width: 112, height: 112, loading: "lazy", draggable: "false" }),
    make(
      "span", { class: "marks" },
      near_duplicate ? make("span", { class: "mark" }, "duplicate") : null,
      outlier ? make("span", { class: "mark outlier" }, `≈ ${outlier}`) : null,
    ),
  );
}

function group([label, members]) {
  const head = make("h3", { class: colourOf(label), "aria-hidden": "true" }, make("i", { class: "swatch" }), label, make("span", { class: "quiet" }, counted(members.length, "example")));
  const grid = make("div", { class: "grid" }, ...members.map(option));
  return make("div", { role: "group", class: "group", "aria-label": `${label}, ${counted(members.length, "example")}` }, head, grid);
}

function removedThumb({ id, label }) {
  const picture = make("img", { src: `/api/examples/${id}.jpg`, alt: "", width: 88, height: 88, loading: "lazy" });
  return make("button", { class: "restore", "aria-label": `Restore ${label}`, onclick: () => restore([id]) }, picture, make("span", {}, label));
}

function show() {
  const byLabel = new Map();
  for (const example of examples.filter(matches)) byLabel.set(example.label, [...(byLabel.get(example.label) ?? []), example]);
  keepOnly(new Set(examples.map(({ id }) => id)));
  const focused = document.activeElement?.id;
  byId("examples").replaceChildren(...[...byLabel].map(group));
  byId("examples-empty").hidden = byLabel.size > 0;
  document.dispatchEvent(new CustomEvent("examplesshown"));
  if (focused?.startsWith("example-")) byId(focused)?.focus({ preventScroll: true });
}

// One list at a time: it takes seconds, and may never come after a lost connection.
async function refresh() {
  stale = busy;
  if (busy) return;
  const own = (busy = {});
  try {
    const data = await get("/api/examples");
    if (busy !== own) return;
    examples = data.examples;
    const labels = [...new Set(examples.map(({ label }) => label))];
    const older = data.total > examples.length ? `, the newest ${examples.length} shown` : "";
    write(byId("examples-total"), `${data.total} in ${counted(labels.length, "class", "classes")}${older}`);
    write(byId("near-duplicates"), String(examples.filter(({ near_duplicate }) => near_duplicate).length));
    write(byId("outliers"), String(examples.filter(({ outlier }) => outlier).length));
    byId("class-names").replaceChildren(...labels.map((label) => make("option", { value: label })));
    byId("removed").replaceChildren(...data.removed.map(removedThumb));
    byId("removed-section").hidden = data.removed.length === 0;
    showConfusion(examples);
    show();
    drawMap(examples, (id) => select(id));
  } catch (error) {
    if (busy !== own) return;
    showError(error);
  }
  busy = null;
  if (stale) refreshSoon();
}

function refreshSoon() {
  clearTimeout(timer);
  if (visible) timer = setTimeout(refresh, DELAY_MS);
}

function setFilter({ target }) {
  const chip = target.closest("[data-filter]");
  if (!chip) return;
  filter = chip.dataset.filter;
  for (const each of chip.parentElement.children) each.setAttribute("aria-pressed", String(each === chip));
  show();
}

async function remove() {
  try {
    const { ids } = await post("remove", { ids: [...selection] });
    clearSelection();
    toast(`${counted(ids.length, "example")} deleted`, { name: "Restore", run: () => restore(ids) });
  } catch (error) {
    showError(error);
  }
}

async function move(event) {
  event.preventDefault();
  const field = byId("move-to");
  try {
    const { ids } = await post("relabel", { ids: [...selection], label: field.value });
    toast(`${counted(ids.length, "example")} moved to “${field.value.trim()}”`);
    field.value = "";
    clearSelection();
  } catch (error) {
    showError(error);
  }
}

export function startReview() {
  startSelection(remove);
  connection.on("down", () => (busy = null));
  connection.on("edit", refreshSoon);
  connection.on("examples", refreshSoon);
  connection.on("hello", () => {
    if (visible) connection.send("map on");
    refreshSoon();
  });
  connection.on("point", showPoint);
  document.addEventListener("view", ({ detail }) => {
    if (visible !== (detail === "review")) connection.send(visible ? "map off" : "map on");
    visible = detail === "review";
    if (visible) refresh();
  });
  document.querySelector(".filters").addEventListener("click", setFilter);
  byId("delete").addEventListener("click", remove);
  byId("move").addEventListener("submit", move);
}
