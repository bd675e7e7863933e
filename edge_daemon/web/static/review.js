// All examples by class: look, select many with mouse, finger or keys, move, delete, bring back.

import { get, post } from "/static/api.js";
import { drawMap, showPoint } from "/static/chart.js";
import { colourOf } from "/static/classes.js";
import { byId, counted, make, write } from "/static/dom.js";
import { link } from "/static/link.js";
import { clearSelection, keepOnly, select, selection, startSelection } from "/static/selection.js";
import { restore } from "/static/teach.js";
import { complain, toast } from "/static/toast.js";

const SETTLE_MS = 250;

let examples = [];
let filter = "all";
let visible = false;
let timer = 0;

const wanted = (example) => filter === "all" || (filter === "twin" ? example.twin : example.near);

function option(example) {
  const { id, label, twin, near, at } = example;
  const marks = [twin && "near-duplicate", near && `outlier, nearest to ${near}`].filter(Boolean).join(", ");
  const time = new Date(at).toLocaleString();
  return make(
    "div",
    { role: "option", class: "thumb", id: `example-${id}`, "data-id": id, "aria-selected": selection.has(id), "aria-label": [`${label}, ${time}`, marks].filter(Boolean).join(", "), title: [time, marks].filter(Boolean).join("\n") },
    make("img", { src: `/api/examples/${id}.jpg`, alt: "", width: 112, height: 112, loading: "lazy", draggable: "false" }),
    twin ? make("span", { class: "mark twin" }, "twin") : null,
    near ? make("span", { class: "mark near" }, `≈ ${near}`) : null,
  );
}

function group([label, members]) {
  const head = make("h3", { class: colourOf(label), "aria-hidden": "true" }, make("i", { class: "swatch" }), label, make("span", { class: "quiet" }, String(members.length)));
  const grid = make("div", { class: "grid" }, ...members.map(option));
  return make("div", { role: "group", class: "group", "aria-label": `${label}, ${counted(members.length, "example")}` }, head, grid);
}

function removedThumb({ id, label }) {
  const picture = make("img", { src: `/api/examples/${id}.jpg`, alt: "", width: 88, height: 88, loading: "lazy" });
  return make("button", { type: "button", class: "back", "aria-label": `Bring back ${label}`, onclick: () => restore([id]) }, picture, make("span", {}, label));
}

function show() {
  const byLabel = new Map();
  for (const example of examples.filter(wanted)) byLabel.set(example.label, [...(byLabel.get(example.label) ?? []), example]);
  keepOnly(new Set(examples.map(({ id }) => id)));
  const focused = document.activeElement?.id;
  byId("album").replaceChildren(...[...byLabel].map(group));
  byId("album-empty").hidden = byLabel.size > 0;
  document.dispatchEvent(new CustomEvent("albumshown"));
  if (focused?.startsWith("example-")) byId(focused)?.focus({ preventScroll: true });
}

async function refresh() {
  try {
    const data = await get("/api/examples");
    examples = data.examples;
    const labels = [...new Set(examples.map(({ label }) => label))];
    const older = data.total > examples.length ? `, the newest ${examples.length} shown` : "";
    write(byId("album-sum"), `${data.total} in ${counted(labels.length, "class", "classes")}${older}`);
    write(byId("twins"), String(examples.filter(({ twin }) => twin).length));
    write(byId("outliers"), String(examples.filter(({ near }) => near).length));
    byId("class-names").replaceChildren(...labels.map((label) => make("option", { value: label })));
    byId("removed").replaceChildren(...data.removed.map(removedThumb));
    byId("bin").hidden = data.removed.length === 0;
    show();
    drawMap(examples, (id) => select(id));
  } catch (error) {
    complain(error);
  }
}

function refreshSoon() {
  clearTimeout(timer);
  if (visible) timer = setTimeout(refresh, SETTLE_MS);
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
    toast(`${counted(ids.length, "example")} deleted`, { name: "Bring back", act: () => restore(ids) });
  } catch (error) {
    complain(error);
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
    complain(error);
  }
}

export function startReview() {
  startSelection(remove);
  link.on("deed", refreshSoon);
  link.on("hello", () => {
    if (visible) link.send("map on");
    refreshSoon();
  });
  link.on("point", showPoint);
  document.addEventListener("view", ({ detail }) => {
    if (visible !== (detail === "review")) link.send(visible ? "map off" : "map on");
    visible = detail === "review";
    if (visible) refresh();
  });
  document.querySelector(".filters").addEventListener("click", setFilter);
  byId("delete").addEventListener("click", remove);
  byId("move").addEventListener("submit", move);
}
