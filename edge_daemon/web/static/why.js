// Why a frame has its label: the nearest example, and the nearest of another class, with pictures.

import { colourOf } from "/static/classes.js";
import { connection } from "/static/connection.js";
import { byId, make, write } from "/static/dom.js";
import { openExample } from "/static/example.js";

const HOLD_MS = 500;
const NAMES = ["Nearest", "Runner-up"];

const rows = new Map();

function slot(name) {
  let example = null;
  const picture = make("img", { alt: "", width: 48, height: 48, draggable: "false", onerror: () => picture.classList.add("none") });
  const [label, kind] = [make("span", { class: "of" }), make("span", { class: "quiet" })];
  const element = make("button", { class: "near", onclick: () => openExample(example, name) }, picture, label, kind);
  const show = (next) => {
    element.style.visibility = next ? "visible" : "hidden";
    if (!next) return;
    if (next.id !== example?.id) {
      picture.classList.remove("none");
      picture.src = `/api/examples/${next.id}.jpg`;
    }
    example = next;
    const figure = next.similarity.toFixed(2);
    element.className = `near ${colourOf(next.label)}`;
    element.title = next.label;
    element.setAttribute("aria-label", `${name} example: ${next.label}, similarity ${figure}`);
    write(label, next.label);
    write(kind, `${name} ${figure}`);
  };
  return { element, show };
}

// The row of the nearest examples; `show` takes them as the device sends them, nearest first.
export function nearestRow(nearest = []) {
  const slots = NAMES.map(slot);
  const element = make("div", { class: "nearest", role: "group", "aria-label": "Nearest examples" }, ...slots.map((each) => each.element));
  const show = (examples) => slots.forEach((each, index) => each.show(examples[index]));
  show(nearest);
  return { element, show, pending: null };
}

function setUp({ regions }) {
  rows.clear();
  const cards = byId("results").children;
  regions.forEach(({ name }, index) => {
    const row = nearestRow();
    row.element.hidden = true;
    cards[index].append(row.element);
    rows.set(name, row);
  });
}

// Nothing is replaced under a pointer or the focus.
function showPending() {
  for (const row of rows.values()) {
    if (!row.pending || row.element.matches(":hover, :focus-within")) continue;
    row.show(row.pending);
    row.pending = null;
  }
}

export function startWhy() {
  connection.on("hello", setUp);
  // The row's space comes with the first class, so that none moves under a finger later.
  connection.on("examples", ({ counts }) => {
    for (const { element } of rows.values()) element.hidden = Object.keys(counts).length === 0;
  });
  connection.on("result", ({ region, nearest }) => {
    if (rows.has(region)) rows.get(region).pending = nearest;
  });
  const forget = () => {
    for (const row of rows.values()) row.pending = [];
  };
  connection.on("camera", ({ state }) => state === "lost" && forget());
  connection.on("down", forget);
  setInterval(showPending, HOLD_MS);
}
