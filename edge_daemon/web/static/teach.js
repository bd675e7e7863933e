// A button per class: tap for one example, hold to record. New classes, and the evaluation.

import { post } from "/static/api.js";
import { colourOf } from "/static/classes.js";
import { connection } from "/static/connection.js";
import { byId, counted, fillBar, make, write } from "/static/dom.js";
import { openLabel } from "/static/labels.js";
import { recordWhileHeld, teach } from "/static/record.js";
import { framesCome } from "/static/state.js";
import { showError, toast } from "/static/toast.js";

const MANY = 10;
const TAKEN_MS = 3000;

const buttons = new Map();
let region = null;

export const chosenRegion = () => region;

function showFor(element, ms) {
  element.hidden = false;
  clearTimeout(element.dataset.timer);
  element.dataset.timer = setTimeout(() => (element.hidden = true), ms);
}

function classButton(label) {
  const count = make("span", { class: "count" });
  const status = make("span", { class: "status" });
  const bar = make("i");
  const element = make(
    "button",
    { class: `class ${colourOf(label)}` },
    make("span", { class: "name", title: label }, label), count, status, make("span", { class: "bar" }, bar),
  );
  recordWhileHeld(element, label, chosenRegion);
  const more = make("button", { class: "more", "aria-label": `Change ${label}`, title: "Rename, merge, delete, add pictures", onclick: () => openLabel(label) }, "⋯");
  const picture = make("img", { class: "taken", alt: "", width: 56, height: 56, hidden: "", onload: () => showFor(picture, TAKEN_MS) });
  return { tile: make("div", { class: "tile", "data-label": label }, element, picture, more), element, count, status, bar, picture };
}

// The picture that was taken, for a few seconds, whoever taught it; none while another one loads.
function showTaken({ action, ids, label }) {
  const button = buttons.get(label);
  if (action !== "added" || !button || (button.picture.src && !button.picture.complete)) return;
  button.picture.src = `/api/examples/${ids.at(-1)}.jpg`;
}

const plain = (text) => text.normalize("NFKD").replaceAll(/\p{M}/gu, "").toLowerCase();

function find() {
  const part = plain(byId("find").value.trim());
  let found = 0;
  for (const [label, { tile }] of buttons) found += (tile.hidden = !plain(label).includes(part)) ? 0 : 1;
  byId("none-found").hidden = found > 0 || buttons.size === 0;
}

function showFrames(come) {
  for (const { element } of buttons.values()) element.disabled = !come;
  byId("teach-new").disabled = byId("learn-scene").disabled = !come;
  write(byId("teach-hint"), come ? "Tap or hold" : "No frames");
}

// The status in full, and in short for dense tiles.
function statusTexts(report, sessions) {
  if (!report) return ["", ""];
  if (report.status === "ok") return ["ok", "ok"];
  if (report.status === "confused") return [`confused with ${report.confused_with}`, `≈ ${report.confused_with}`];
  return sessions > 1 && report.sessions === 1 ? ["one session only", "1 session"] : ["needs examples", "few"];
}

function showExamples({ counts, evaluation }) {
  for (const label of buttons.keys()) if (!(label in counts)) (buttons.get(label).tile.remove(), buttons.delete(label));
  const many = Object.keys(counts).length > MANY;
  for (const [label, count] of Object.entries(counts)) {
    if (!buttons.has(label)) buttons.set(label, classButton(label));
    const button = buttons.get(label);
    const report = evaluation?.classes[label];
    if (!button.tile.isConnected) byId("classes").append(button.tile);
    write(button.count, String(count));
    button.count.dataset.unit = count === 1 ? "example" : "examples";
    const [status, short] = statusTexts(report, evaluation?.sessions);
    write(button.status, many ? short : status);
    button.status.title = status;
    button.status.className = `status ${report?.status ?? ""}`;
    button.element.setAttribute("aria-label", `Teach ${label}: ${counted(count, "example")}, ${status}`);
  }
  byId("classes").classList.toggle("dense", many);
  byId("find").hidden = !many;
  if (!many) byId("find").value = "";
  find();
  showFrames(framesCome());
  showRecommendation(evaluation, buttons.size);
}

function showRecommendation(evaluation, classes) {
  const { recommendation, note } = evaluation ?? {};
  const parts = [];
  if (classes === 0) parts.push("Hold an object in front of the camera, type its name and teach it.");
  else if (recommendation) parts.push("Show next: ", make("b", {}, recommendation.label), `. ${sentence(recommendation.reason)}.`);
  else if (evaluation) parts.push("No class needs examples.");
  if (note && !recommendation?.reason.includes(note)) parts.push(` ${sentence(note)}.`);
  byId("recommendation").replaceChildren(...parts);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export async function restore(ids) {
  try {
    const data = await post("restore", { ids });
    toast(`${counted(data.ids.length, "example")} restored`);
  } catch (error) {
    showError(error);
  }
}

function chooseRegion(regions) {
  region = regions.some(({ name }) => name === region) ? region : regions[0].name;
  const target = byId("target");
  target.hidden = regions.length === 1;
  const choose = (name) => {
    region = name;
    for (const each of target.children) each.setAttribute("aria-pressed", String(each.textContent === name));
  };
  target.replaceChildren(
    ...regions.map(({ name }) => make("button", { class: "small", onclick: () => choose(name) }, name)),
  );
  choose(region);
}

async function teachNew(event) {
  event.preventDefault();
  const field = byId("new-label");
  if (await teach(field.value, region)) field.value = "";
}

export function startTeaching() {
  connection.on("hello", ({ regions }) => chooseRegion(regions));
  connection.on("examples", showExamples);
  connection.on("edit", showTaken);
  document.addEventListener("frames", ({ detail }) => showFrames(detail));
  byId("find").addEventListener("input", find);
  connection.on("result", (result) => {
    if (result.region !== region) return;
    for (const [label, { bar }] of buttons) fillBar(bar, result.confidences[label] ?? 0);
  });
  connection.on("camera", ({ state }) => {
    if (state === "lost") for (const { bar } of buttons.values()) fillBar(bar, 0);
  });
  byId("new-class").addEventListener("submit", teachNew);
}
