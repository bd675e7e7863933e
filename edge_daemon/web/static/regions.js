// The regions on the picture. In editing mode the pointer and the arrow keys move and resize them.

import { post } from "/static/api.js";
import { connection } from "/static/connection.js";
import { byId, draw, write } from "/static/dom.js";
import { showError, toast } from "/static/toast.js";

const MIN_SIZE = 0.05;
const STEP = 0.01;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let frame = { width: 640, height: 480 };
let boxes = new Map();
const groups = new Map();

// Moves are sent one after another. While a reply is pending, broadcasts of the region are ignored, since
// the broadcast of an earlier move would undo a later one.
let sending = Promise.resolve();
const pending = new Map();

const overlay = () => byId("regions");
const editing = () => overlay().classList.contains("editing");
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

// The configuration gives fractions of the frame or pixels; this returns fractions.
function asFractions(box) {
  if (Math.max(...box) <= 1) return box;
  const { width, height } = frame;
  return [box[0] / width, box[1] / height, box[2] / width, box[3] / height];
}

function group(name) {
  const rect = draw("rect");
  const grip = draw("circle", { class: "grip", r: 11 });
  const text = draw("text", { "font-size": 20, "aria-hidden": "true" }, name);
  const element = draw("g", { role: "application", "aria-roledescription": "region" }, rect, grip, text);
  element.addEventListener("pointerdown", (event) => editing() && drag(event, name, event.target === grip));
  element.addEventListener("keydown", (event) => nudge(event, name));
  return { element, rect, grip, text };
}

function place(name) {
  const [x, y, width, height] = asFractions(boxes.get(name));
  const { element, rect, grip, text } = groups.get(name);
  const at = { x: x * frame.width, y: y * frame.height, width: width * frame.width, height: height * frame.height };
  for (const [key, value] of Object.entries(at)) rect.setAttribute(key, value.toFixed(1));
  grip.setAttribute("cx", at.x + at.width);
  grip.setAttribute("cy", at.y + at.height);
  text.setAttribute("x", at.x + 9);
  text.setAttribute("y", at.y + 26);
  const figures = [x, y, width, height].map((each) => `${Math.round(each * 100)} %`);
  element.setAttribute("aria-label", `${name}: left ${figures[0]}, top ${figures[1]}, width ${figures[2]}, height ${figures[3]}. Arrow keys move, with shift they resize`);
}

function redraw() {
  overlay().setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
  for (const name of groups.keys()) place(name);
}

function moved([x, y, width, height], dx, dy, resize) {
  if (resize) return [x, y, clamp(width + dx, MIN_SIZE, 1 - x), clamp(height + dy, MIN_SIZE, 1 - y)];
  return [clamp(x + dx, 0, 1 - width), clamp(y + dy, 0, 1 - height), width, height];
}

function drag(start, name, resize) {
  const { element } = groups.get(name);
  const area = overlay().getBoundingClientRect();
  const before = asFractions(boxes.get(name));
  const follow = ({ clientX, clientY }) => {
    boxes.set(name, moved(before, (clientX - start.clientX) / area.width, (clientY - start.clientY) / area.height, resize));
    place(name);
  };
  const finish = () => {
    element.removeEventListener("pointermove", follow);
    send(name, before);
  };
  start.preventDefault();
  element.focus();
  element.setPointerCapture(start.pointerId);
  element.addEventListener("pointermove", follow);
  element.addEventListener("lostpointercapture", finish, { once: true });
}

function nudge(event, name) {
  const step = STEPS[event.key];
  if (!step || !editing()) return;
  event.preventDefault();
  const before = asFractions(boxes.get(name));
  boxes.set(name, moved(before, step[0] * STEP, step[1] * STEP, event.shiftKey));
  place(name);
  send(name, before);
}

function send(name, before) {
  const box = boxes.get(name).map((value) => Math.round(value * 1000) / 1000);
  box[2] = Math.min(box[2], 1 - box[0]);
  box[3] = Math.min(box[3], 1 - box[1]);
  pending.set(name, (pending.get(name) ?? 0) + 1);
  sending = sending.then(async () => {
    try {
      await post("region", { region: name, box });
      byId("region-save").hidden = false;
    } catch (error) {
      boxes.set(name, before);
      place(name);
      showError(error);
    } finally {
      pending.set(name, pending.get(name) - 1);
    }
  });
}

async function save() {
  try {
    const { path } = await post("save");
    byId("region-save").hidden = true;
    toast(`Regions saved to ${path}`);
  } catch (error) {
    showError(error);
  }
}

function setEditing(on) {
  overlay().classList.toggle("editing", on);
  byId("region-edit").setAttribute("aria-pressed", String(on));
  write(byId("region-edit"), on ? "Done" : "Adjust regions");
  for (const { element } of groups.values()) on ? element.setAttribute("tabindex", 0) : element.removeAttribute("tabindex");
}

export function startRegions() {
  connection.on("hello", (hello) => {
    boxes = new Map(hello.regions.filter(({ box }) => box).map(({ name, box }) => [name, box]));
    groups.clear();
    for (const name of boxes.keys()) groups.set(name, group(name));
    overlay().replaceChildren(...[...groups.values()].map(({ element }) => element));
    byId("region-tools").hidden = boxes.size === 0;
    setEditing(editing());
    redraw();
  });
  connection.on("region", ({ name, box }) => {
    if (!groups.has(name) || pending.get(name)) return;
    boxes.set(name, box);
    place(name);
  });
  document.addEventListener("framesize", ({ detail }) => {
    frame = detail;
    redraw();
  });
  byId("region-edit").addEventListener("click", () => setEditing(!editing()));
  byId("region-save").addEventListener("click", save);
}
