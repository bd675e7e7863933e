// Map of the examples: two principal components of the embeddings of the whole regions, or of the objects where the
// current frame is compared by its object.

import { colourOf, indexOf } from "/static/classes.js";
import { byId, counted, draw, make } from "/static/dom.js";

const SIZE = 0.034;
const SHAPES = [
  (s) => `M${-s},0A${s},${s} 0 1 0 ${s},0A${s},${s} 0 1 0 ${-s},0Z`,
  (s) => `M${-s},${-s}H${s}V${s}H${-s}Z`,
  (s) => `M0,${-1.3 * s}L${1.3 * s},0L0,${1.3 * s}L${-1.3 * s},0Z`,
  (s) => `M0,${-1.2 * s}L${1.2 * s},${s}H${-1.2 * s}Z`,
];
const EDGE = 1.08;

let current = null;
let marks = [];
let kind = "region";

const shapeOf = (label) => SHAPES[indexOf(label) % SHAPES.length];
const clamp = (value) => Math.max(-EDGE, Math.min(EDGE, value));

export function drawMap(examples, onChoose) {
  const labels = [...new Set(examples.map(({ label }) => label))];
  marks = examples.map(({ id, label, places, outlier }) => ({
    places,
    mark: draw(
      "path",
      { d: shapeOf(label)(SIZE), class: `${colourOf(label)}${outlier ? " outlier" : ""}`, onclick: () => onChoose(id) },
      draw("title", {}, label),
    ),
  }));
  marks.forEach(placeMark);
  current = draw("g", { class: "current", visibility: "hidden" }, draw("circle", { r: 0.075 }), draw("circle", { r: 0.018, class: "core" }));
  byId("map").replaceChildren(...marks.map(({ mark }) => mark), current);
  byId("map").setAttribute("aria-label", `Map of ${counted(examples.length, "example")} of ${labels.join(", ") || "no class"}`);
  byId("legend").replaceChildren(...labels.map(legendEntry));
}

function legendEntry(label) {
  const mark = draw("svg", { viewBox: "-1.4 -1.4 2.8 2.8", width: 14, height: 14, "aria-hidden": "true" }, draw("path", { d: shapeOf(label)(1) }));
  return make("li", { class: colourOf(label) }, mark, label);
}

function placeMark({ mark, places }) {
  const place = places[kind];
  mark.setAttribute("visibility", place ? "visible" : "hidden");
  if (place) mark.setAttribute("transform", `translate(${place[0]} ${-place[1]})`);
}

export function showPoint({ of, x, y }) {
  if (!current) return;
  current.setAttribute("visibility", of ? "visible" : "hidden");
  if (!of) return;
  if (of !== kind) {
    kind = of;
    marks.forEach(placeMark);
  }
  current.style.transform = `translate(${clamp(x)}px, ${-clamp(y)}px)`;
}
