// A big button per class: tap for one example, hold for a burst. New classes, undo, and the exam's word.

import { post } from "/static/api.js";
import { colourOf } from "/static/classes.js";
import { byId, counted, fillBar, make, write } from "/static/dom.js";
import { link } from "/static/link.js";
import { complain, toast } from "/static/toast.js";

const HOLD_MS = 400;
const BURST_MS = 160;

const buttons = new Map();
let region = null;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function teach(label, burst = "") {
  try {
    await post("teach", { label, region, burst });
    flash(label);
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

function flash(label) {
  const element = buttons.get(label)?.element;
  element?.classList.add("taught");
  setTimeout(() => element?.classList.remove("taught"), 180);
}

// One example at once; while held, one more whenever the last is on disk. They share a burst.
async function hold(label, isHeld) {
  const burst = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
  let going = await teach(label, burst);
  await sleep(HOLD_MS);
  while (going && isHeld()) {
    going = await teach(label, burst);
    await sleep(BURST_MS);
  }
}

function classButton(label) {
  const count = make("span", { class: "count" });
  const verdict = make("span", { class: "verdict" });
  const bar = make("i");
  const element = make(
    "button",
    { type: "button", class: `class ${colourOf(label)}` },
    make("span", { class: "name", title: label }, label), count, verdict, make("span", { class: "bar" }, bar),
  );
  let held = false;
  const begin = () => {
    if (held) return;
    held = true;
    hold(label, () => held);
  };
  const end = () => (held = false);
  element.addEventListener("pointerdown", (event) => event.button === 0 && (element.setPointerCapture(event.pointerId), begin()));
  for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) element.addEventListener(name, end);
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  const isPress = (event) => event.key === "Enter" || event.key === " ";
  element.addEventListener("keydown", (event) => isPress(event) && (event.preventDefault(), begin()));
  element.addEventListener("keyup", (event) => isPress(event) && (event.preventDefault(), end()));
  // What neither points nor types, such as a screen reader, clicks.
  element.addEventListener("click", (event) => event.detail === 0 && teach(label));
  return { element, count, verdict, bar };
}

function verdictText(verdict) {
  if (!verdict) return "";
  if (verdict.verdict === "good") return "well known";
  if (verdict.verdict === "looks_like") return `looks like ${verdict.looks_like}`;
  return "show more";
}

function showExamples({ counts, exam }) {
  for (const label of buttons.keys()) if (!(label in counts)) (buttons.get(label).element.remove(), buttons.delete(label));
  for (const [label, count] of Object.entries(counts)) {
    if (!buttons.has(label)) buttons.set(label, classButton(label));
    const button = buttons.get(label);
    const verdict = exam?.verdicts[label];
    if (!button.element.isConnected) byId("classes").append(button.element);
    write(button.count, String(count));
    write(button.verdict, verdictText(verdict));
    button.verdict.className = `verdict ${verdict?.verdict ?? ""}`;
    button.element.setAttribute("aria-label", `Teach ${label}: ${counted(count, "example")}, ${verdictText(verdict)}`);
  }
  showAdvice(exam, Object.keys(counts).length);
  byId("undo").disabled = buttons.size === 0;
}

function showAdvice(exam, classes) {
  const advice = exam?.advice;
  if (classes === 0) byId("advice").replaceChildren("Hold a thing before the camera, type its name and teach it.");
  else if (advice) byId("advice").replaceChildren("Show next: ", make("b", {}, advice.label), `. ${sentence(advice.reason)}.`);
  else byId("advice").replaceChildren(exam ? "Every class is well known." : "");
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

async function undo() {
  try {
    const { id, label, count } = await post("undo");
    toast(`Took back the last “${label}”; ${counted(count, "example")} left`, { name: "Bring back", act: () => restore([id]) });
  } catch (error) {
    complain(error);
  }
}

export async function restore(ids) {
  try {
    const data = await post("restore", { ids });
    toast(`${counted(data.ids.length, "example")} brought back`);
  } catch (error) {
    complain(error);
  }
}

function chooseRegion(regions) {
  region = regions.some(({ name }) => name === region) ? region : regions[0].name;
  const target = byId("target");
  target.hidden = regions.length === 1;
  const choose = (name) => {
    region = name;
    for (const each of target.children) each.setAttribute("aria-checked", String(each.textContent === name));
  };
  target.replaceChildren(
    ...regions.map(({ name }) => make("button", { type: "button", role: "radio", class: "small", onclick: () => choose(name) }, name)),
  );
  choose(region);
}

async function teachNew(event) {
  event.preventDefault();
  const field = byId("new-label");
  if (await teach(field.value)) field.value = "";
}

export function startTeaching() {
  link.on("hello", ({ regions }) => chooseRegion(regions));
  link.on("examples", showExamples);
  link.on("seen", (seen) => {
    if (seen.region !== region) return;
    for (const [label, { bar }] of buttons) fillBar(bar, seen.confidences[label] ?? 0);
  });
  link.on("camera", ({ state }) => {
    if (state === "lost") for (const { bar } of buttons.values()) fillBar(bar, 0);
  });
  byId("undo").addEventListener("click", undo);
  byId("new-class").addEventListener("submit", teachNew);
}
