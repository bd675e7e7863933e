// The draft of the regions on the picture, edited by pointer, finger or keys.

import { draw, write } from "/static/dom.js";
import { clamp, edit, find, moved, resized, smallest } from "/static/region_draft.js";
import { add, markRow, remove, selectName, showSize, showState } from "/static/region_editor.js";
import { frameSize, inFrame, overlay, perPixel, placeName, placeRect } from "/static/regions.js";

const STEP = 0.01;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const CORNERS = { nw: [0, 0], ne: [1, 0], sw: [0, 1], se: [1, 1] };
const GRIP_PX = 9; // on the screen; a finger hits within TOUCH_PX
const TOUCH_PX = 22;
const SMALL_PX = 3 * TOUCH_PX; // a region this small on the screen has one grip, beside it, so that it can be moved

const groups = new Map();
let grips = null;

function group(region) {
  const rect = draw("rect");
  const reach = draw("rect", { class: "reach" });
  const text = draw("text", { "aria-hidden": "true" });
  const element = draw("g", { role: "application", tabindex: 0, "aria-roledescription": "region", class: "region" }, reach, rect, text);
  element.addEventListener("pointerdown", (event) => follow(event, region, moved));
  element.addEventListener("keydown", (event) => nudge(event, region));
  element.addEventListener("focus", () => select(region.id));
  return { element, rect, reach, text };
}

// The grips of the selected region lie above all regions.
function makeGrips() {
  const parts = Object.entries(CORNERS).map(([name, corner]) => {
    const part = draw("g", { class: `grip ${name}` }, draw("circle", { class: "reach" }), draw("circle"));
    part.addEventListener("pointerdown", (event) => follow(event, find(edit.selected), (box, dx, dy) => resized(box, corner, dx, dy)));
    return part;
  });
  return draw("g", { "aria-hidden": "true" }, ...parts);
}

const isSmall = ({ width, height }) => Math.min(width, height) < SMALL_PX * perPixel();

export function place(region) {
  const { element, rect, reach, text } = groups.get(region.id);
  const at = inFrame(region.box);
  const scale = perPixel();
  placeRect(rect, at);
  const spare = [TOUCH_PX * 2 * scale - at.width, TOUCH_PX * 2 * scale - at.height].map((each) => Math.max(0, each) / 2);
  placeRect(reach, { x: at.x - spare[0], y: at.y - spare[1], width: at.width + 2 * spare[0], height: at.height + 2 * spare[1] });
  placeName(text, at, isSmall(at));
  text.classList.toggle("off", isSmall(at) && region.id !== edit.selected); // names of small regions would overlap
  write(text, region.name);
  if (region.id === edit.selected) placeGrips(at);
  const figures = region.box.map((each) => `${Math.round(each * 100)} %`);
  element.setAttribute("aria-label", `${region.name}: left ${figures[0]}, top ${figures[1]}, width ${figures[2]}, height ${figures[3]}. Arrow keys move, with shift they resize, with control by one pixel; delete removes`);
  showSize(region);
}

function placeGrips(at) {
  const scale = perPixel();
  [...grips.children].forEach((grip, index) => {
    const [right, bottom] = Object.values(CORNERS)[index];
    const out = isSmall(at) ? TOUCH_PX * scale : 0;
    const inset = GRIP_PX * scale; // the picture's edge cuts nothing off
    grip.classList.toggle("off", isSmall(at) && !(right && bottom));
    for (const circle of grip.children) {
      circle.setAttribute("cx", clamp(at.x + right * at.width + out, inset, frameSize().width - inset));
      circle.setAttribute("cy", clamp(at.y + bottom * at.height + out, inset, frameSize().height - inset));
      circle.setAttribute("r", (circle.classList.contains("reach") ? TOUCH_PX : GRIP_PX) * scale);
    }
  });
}

export function drawDraft() {
  for (const id of groups.keys()) if (!find(id)) groups.delete(id);
  for (const region of edit.draft) if (!groups.has(region.id)) groups.set(region.id, group(region));
  grips ??= makeGrips();
  if (!find(edit.selected)) select(null);
  const wanted = [...edit.draft.map(({ id }) => groups.get(id).element), grips];
  const present = [...overlay().children];
  // Moving an element in the document would take its focus away.
  if (wanted.length !== present.length || wanted.some((each, index) => each !== present[index])) overlay().replaceChildren(...wanted);
  edit.draft.forEach(place);
}

function follow(start, region, change) {
  if (start.button !== 0) return;
  start.preventDefault();
  start.stopPropagation();
  const { element } = groups.get(region.id);
  const area = overlay().getBoundingClientRect();
  const before = region.box;
  const move = ({ clientX, clientY }) => {
    setBox(region, change(before, (clientX - start.clientX) / area.width, (clientY - start.clientY) / area.height));
  };
  element.focus();
  element.setPointerCapture(start.pointerId);
  element.addEventListener("pointermove", move);
  element.addEventListener("lostpointercapture", () => (element.removeEventListener("pointermove", move), showState()), { once: true });
}

// A drag from an empty place draws a region. One as small as a tap is none.
export function begin(start) {
  if (start.button !== 0 || start.target !== overlay()) return;
  start.preventDefault();
  const area = overlay().getBoundingClientRect();
  const at = ({ clientX, clientY }) => [clamp((clientX - area.left) / area.width, 0, 1), clamp((clientY - area.top) / area.height, 0, 1)];
  const [x, y] = at(start);
  let region = null;
  const move = (event) => {
    const [toX, toY] = at(event);
    const box = [Math.min(x, toX), Math.min(y, toY), Math.abs(toX - x), Math.abs(toY - y)];
    const [minX, minY] = smallest();
    if (box[2] < minX || box[3] < minY || Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) < 8) return;
    region ??= add(box);
    setBox(region, box);
  };
  const end = () => {
    overlay().removeEventListener("pointermove", move);
    if (region) selectName(region);
  };
  overlay().setPointerCapture(start.pointerId);
  overlay().addEventListener("pointermove", move);
  overlay().addEventListener("lostpointercapture", end, { once: true });
}

function nudge(event, region) {
  if (event.key === "Delete") return event.preventDefault(), remove(region);
  const step = STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  const { width, height } = frameSize();
  const [dx, dy] = event.ctrlKey || event.metaKey ? [step[0] / width, step[1] / height] : [step[0] * STEP, step[1] * STEP];
  setBox(region, event.shiftKey ? resized(region.box, [1, 1], dx, dy) : moved(region.box, dx, dy));
  showState();
}

function setBox(region, box) {
  region.moved ||= box.some((each, index) => each !== region.box[index]);
  region.box = box;
  place(region);
}

export function select(id) {
  edit.selected = id;
  grips.classList.toggle("off", id === null);
  markRow(id);
  for (const [each, { element }] of groups) element.classList.toggle("selected", each === id);
  for (const region of edit.draft) if (groups.has(region.id)) place(region);
}

export const focusOn = (region) => groups.get(region.id).element.focus();
export const forgetGroups = () => groups.clear();
