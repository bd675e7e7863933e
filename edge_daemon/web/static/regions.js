// The regions on the picture. While they are edited, region_editor.js shows its draft here instead.

import { connection } from "/static/connection.js";
import { byId, draw } from "/static/dom.js";

let frame = { width: 640, height: 480 };
let shown = [];
let editor = null;

export const overlay = () => byId("regions");
export const frameSize = () => frame;

// The configuration gives fractions of the frame or pixels; this returns fractions.
export function asFractions(box) {
  if (Math.max(...box) <= 1) return box;
  const { width, height } = frame;
  return [box[0] / width, box[1] / height, box[2] / width, box[3] / height];
}

export const inFrame = ([x, y, width, height]) =>
  ({ x: x * frame.width, y: y * frame.height, width: width * frame.width, height: height * frame.height });

export function placeRect(rect, at) {
  for (const [key, value] of Object.entries(at)) rect.setAttribute(key, value.toFixed(1));
}

// Units of the overlay in one pixel of the screen.
export const perPixel = () => frame.width / (overlay().clientWidth || frame.width);

export function placeName(text, { x, y }, isAbove = false) {
  const scale = perPixel();
  text.setAttribute("font-size", 15 * scale);
  text.setAttribute("x", x + (isAbove ? 0 : 8 * scale));
  text.setAttribute("y", isAbove ? Math.max(y - 8 * scale, 15 * scale) : y + 21 * scale);
}

function group({ name, box }) {
  const at = inFrame(asFractions(box));
  const rect = draw("rect");
  const text = draw("text", {}, name);
  placeRect(rect, at);
  placeName(text, at);
  return draw("g", { role: "img", "aria-label": name }, rect, text);
}

function redraw() {
  overlay().setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
  if (editor) editor();
  else overlay().replaceChildren(...shown.map(group));
}

// `render` draws the draft at every change of the frame's size; null shows the regions in use again.
export function setEditor(render) {
  editor = render;
  overlay().classList.toggle("editing", editor !== null);
  redraw();
}

export function startRegions() {
  connection.on("hello", ({ regions }) => {
    shown = regions.filter(({ box }) => box);
    redraw();
  });
  connection.on("region", ({ name, box }) => {
    shown = shown.map((each) => (each.name === name ? { name, box } : each));
    redraw();
  });
  document.addEventListener("framesize", ({ detail }) => {
    frame = detail;
    redraw();
  });
  new ResizeObserver(redraw).observe(overlay());
}
