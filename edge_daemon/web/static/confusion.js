// The confusion matrix: how many examples of a class the other examples take for another one.

import { byId, counted, make, write } from "/static/dom.js";

let chosen = null;

// `predicted` is null for an example that could not be evaluated.
export const isInCell = ({ label, predicted }) => label === chosen?.label && predicted === chosen?.predicted;

const keyOf = (label, predicted) => JSON.stringify([label, predicted]);

function choose(label, predicted) {
  chosen = { label, predicted };
  const chip = byId("cell-filter");
  write(chip, label === predicted ? `“${label}” recognised` : `“${label}” taken for “${predicted}”`);
  chip.hidden = false;
  chip.click();
  chip.scrollIntoView({ block: "center" });
}

function drop() {
  chosen = null;
  byId("cell-filter").hidden = true;
  if (byId("cell-filter").getAttribute("aria-pressed") === "true") document.querySelector('[data-filter="all"]').click();
}

function markChosen() {
  const on = byId("cell-filter").getAttribute("aria-pressed") === "true";
  for (const button of byId("confusion").querySelectorAll("button")) button.setAttribute("aria-pressed", String(on && button.dataset.cell === keyOf(chosen?.label, chosen?.predicted)));
}

function cell(label, predicted, count, total) {
  if (!count) return make("td", {}, "·");
  const right = label === predicted;
  const name = `${counted(count, "example")} of ${label} ${right ? "recognised" : `taken for ${predicted}`}: show ${count === 1 ? "it" : "them"}`;
  const button = make("button", { class: right ? "right" : "", "data-cell": keyOf(label, predicted), "aria-pressed": "false", "aria-label": name, title: name, onclick: () => choose(label, predicted) }, String(count));
  button.style.setProperty("--share", (count / total).toFixed(2));
  return make("td", {}, button);
}

function table(rows, columns, counts) {
  const head = make("tr", {}, make("td"), ...columns.map((label) => make("th", { scope: "col", title: label }, make("span", {}, label))));
  const body = rows.map((label) => {
    const numbers = columns.map((predicted) => counts.get(keyOf(label, predicted)) ?? 0);
    const total = numbers.reduce((sum, each) => sum + each, 0);
    return make("tr", {}, make("th", { scope: "row", title: label }, label), ...columns.map((predicted, index) => cell(label, predicted, numbers[index], total)));
  });
  return make("table", {}, make("caption", {}, "Rows: taught as. Columns: taken for."), make("thead", {}, head), make("tbody", {}, ...body));
}

// What the matrix leaves out: classes without a mistake, and examples without another view of their class.
function leftOut(examples, scored, labels, rows) {
  const countOf = (some, label) => some.filter((each) => each.label === label).length;
  const right = labels.filter((label) => !rows.includes(label) && countOf(scored, label));
  const missing = labels.map((label) => [label, countOf(examples, label), countOf(scored, label)]).filter(([, all, known]) => known < all);
  const parts = [];
  if (rows.length && right.length) parts.push(`Without a mistake: ${right.join(", ")}.`);
  if (missing.length) parts.push(`Not evaluated: ${missing.map(([label, all, known]) => `${all - known} of ${counted(all, "example")} of ${label}`).join(", ")}. An example needs another view of its class.`);
  return parts.join(" ");
}

export function showConfusion(examples) {
  const scored = examples.filter(({ predicted }) => predicted !== null);
  const wrong = scored.filter(({ label, predicted }) => label !== predicted);
  const counts = new Map();
  for (const { label, predicted } of scored) counts.set(keyOf(label, predicted), (counts.get(keyOf(label, predicted)) ?? 0) + 1);
  const labels = [...new Set(examples.map(({ label }) => label))];
  const rows = labels.filter((each) => wrong.some(({ label }) => label === each));
  const columns = labels.filter((each) => rows.includes(each) || wrong.some(({ predicted }) => predicted === each));
  byId("confusion-section").hidden = examples.length === 0;
  write(byId("confusion-note"), leftOut(examples, scored, labels, rows));
  write(byId("confusion-summary"), scored.length ? `${scored.length - wrong.length} of ${counted(scored.length, "example")} recognised by the others` : "No example is evaluated yet");
  const focused = document.activeElement?.dataset?.cell;
  byId("confusion").hidden = wrong.length === 0;
  byId("confusion").replaceChildren(...(wrong.length ? [table(rows, columns, counts)] : []));
  if (focused) [...byId("confusion").querySelectorAll("button")].find((each) => each.dataset.cell === focused)?.focus({ preventScroll: true });
  if (chosen && !examples.some(isInCell)) drop();
}

document.addEventListener("examplesshown", markChosen);
