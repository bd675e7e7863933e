// What each region shows: the stable label, large, and what the last frames say.

import { colourOf } from "/static/classes.js";
import { byId, fillBar, make, percent, write } from "/static/dom.js";
import { link } from "/static/link.js";

const UNKNOWN = "unknown";
const QUIET_MS = 1200;
const SHOWN_CHANGES = 4;

const sights = new Map();
let classes = 0;
let announcedAt = 0;
let announcement = 0;

function meter(name) {
  const value = make("b");
  const bar = make("i");
  const track = make("div", { class: "bar", role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
  return { value, bar, track, element: make("div", { class: "meter" }, make("p", {}, name, value), track) };
}

function sight(region, alone) {
  const label = make("p", { class: "label unsure" }, "…");
  const [confidence, similarity] = [meter("Confidence"), meter("Similarity")];
  const meters = make("div", { class: "meters" }, confidence.element, similarity.element);
  const element = make("article", { class: "sight card" }, make("h2", {}, alone ? "This is" : region), label, meters);
  return { element, label, confidence, similarity, stable: UNKNOWN };
}

function setUp({ regions, labels, changes }) {
  const alone = regions.length === 1;
  sights.clear();
  for (const { name } of regions) sights.set(name, sight(name, alone));
  byId("sights").replaceChildren(...[...sights.values()].map(({ element }) => element));
  byId("sights").classList.toggle("many", !alone);
  for (const change of labels) showLabel(change);
  byId("changes").replaceChildren(...changes.slice(-SHOWN_CHANGES).reverse().map(row));
}

function showLabel({ region, label }) {
  const here = sights.get(region);
  const place = here?.label;
  if (!place) return;
  here.stable = label;
  const unsure = label === UNKNOWN;
  const text = unsure && classes === 0 ? "Nothing taught yet" : label;
  place.dataset.length = text.length > 22 ? "longest" : text.length > 11 ? "long" : "short";
  place.classList.toggle("unsure", unsure);
  place.title = text;
  write(place, text);
}

// The confidence is that of the large label, which the last frame alone may contradict.
function showSeen({ region, confidences, similarity, fps, latency_ms }) {
  const here = sights.get(region);
  if (!here) return;
  const confidence = confidences[here.stable] ?? 0;
  show(here.confidence, confidence, percent(confidence));
  show(here.similarity, similarity, similarity.toFixed(2));
  here.confidence.bar.className = confidence ? colourOf(here.stable) : "";
  write(byId("fps"), fps.toFixed(fps < 5 ? 1 : 0));
  write(byId("latency"), latency_ms.toFixed(0));
}

function show({ value, bar, track }, share, text) {
  write(value, text);
  fillBar(bar, share);
  track.setAttribute("aria-valuenow", Math.round(share * 100));
}

function row({ region, label, confidence, at }) {
  const time = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const place = sights.size > 1 ? `${region} · ` : "";
  const sure = label === UNKNOWN ? "" : `${place}${percent(confidence)}`;
  return make("li", {}, make("time", { datetime: at }, time), make("b", {}, label), make("span", {}, sure || place));
}

// Screen readers hear the label that stayed, not each that flickered by.
function announce({ region, label }) {
  clearTimeout(announcement);
  const text = sights.size > 1 ? `${region}: ${label}` : label;
  const wait = Math.max(0, announcedAt + QUIET_MS - performance.now());
  announcement = setTimeout(() => {
    announcedAt = performance.now();
    write(byId("announce"), text);
  }, wait);
}

export function startSights() {
  link.on("hello", setUp);
  link.on("examples", ({ counts }) => {
    classes = Object.keys(counts).length;
    for (const [region, { label }] of sights) if (label.classList.contains("unsure")) showLabel({ region, label: UNKNOWN });
  });
  link.on("label", (change) => {
    showLabel(change);
    announce(change);
    const list = byId("changes");
    list.prepend(row(change));
    while (list.children.length > SHOWN_CHANGES) list.lastChild.remove();
  });
  link.on("seen", showSeen);
  link.on("camera", ({ state }) => {
    if (state !== "lost") return;
    for (const { label, confidence, similarity } of sights.values()) {
      label.classList.add("unsure");
      write(label, "–");
      show(confidence, 0, "–");
      show(similarity, 0, "–");
    }
  });
}
