// The stable label of each region, large, with the confidence and similarity of the latest frames.

import { colourOf } from "/static/classes.js";
import { connection } from "/static/connection.js";
import { byId, fillBar, make, percent, write } from "/static/dom.js";

const UNKNOWN = "unknown";
const QUIET_MS = 1200;
const SHOWN_CHANGES = 4;

const cards = new Map();
let classes = 0;
let announcedAt = 0;
let announcement = 0;

function meter(name) {
  const value = make("b");
  const bar = make("i");
  const track = make("div", { class: "bar", role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
  return { value, bar, track, element: make("div", { class: "meter" }, make("p", {}, name, value), track) };
}

function card(region, alone) {
  const label = make("p", { class: "label unknown" }, "…");
  const [confidence, similarity] = [meter("Confidence"), meter("Similarity")];
  const meters = make("div", { class: "meters" }, confidence.element, similarity.element);
  const element = make("article", { class: "result card" }, make("h2", {}, alone ? "This is" : region), label, meters);
  return { element, label, confidence, similarity, stable: UNKNOWN, small: make("p"), prefix: alone ? "" : `${region}: ` };
}

function setUp({ regions, labels, changes }) {
  const alone = regions.length === 1;
  cards.clear();
  for (const { name } of regions) cards.set(name, card(name, alone));
  byId("results").replaceChildren(...[...cards.values()].map(({ element }) => element));
  byId("results").classList.toggle("many", !alone);
  byId("now").replaceChildren(...[...cards.values()].map(({ small }) => small));
  for (const change of labels) showLabel(change);
  byId("changes").replaceChildren(...changes.slice(-SHOWN_CHANGES).reverse().map(row));
}

function showLabel({ region, label }) {
  const card = cards.get(region);
  if (!card) return;
  const element = card.label;
  card.stable = label;
  const unknown = label === UNKNOWN;
  const text = unknown && classes === 0 ? "Nothing taught yet" : label;
  element.dataset.length = [7, 12, 23].filter((least) => text.length >= least).length;
  element.classList.toggle("unknown", unknown);
  element.title = text;
  write(element, text);
  write(card.small, card.prefix + text);
}

// The confidence is that of the stable label; a single frame may have another label.
function showResult({ region, confidence: own, confidences, similarity, fps, latency_ms }) {
  const card = cards.get(region);
  if (!card) return;
  const confidence = confidences[card.stable] ?? own;
  show(card.confidence, confidence, percent(confidence));
  show(card.similarity, similarity, similarity.toFixed(2));
  card.confidence.bar.className = confidence ? colourOf(card.stable) : "";
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
  const about = [cards.size > 1 && region, label !== UNKNOWN && percent(confidence)].filter(Boolean).join(" · ");
  return make("li", {}, make("time", { datetime: at }, time), make("b", { title: label }, label), make("span", {}, about));
}

// Screen readers announce a label that lasts, not every short change.
function announce({ region, label }) {
  clearTimeout(announcement);
  const text = cards.size > 1 ? `${region}: ${label}` : label;
  const wait = Math.max(0, announcedAt + QUIET_MS - performance.now());
  announcement = setTimeout(() => {
    announcedAt = performance.now();
    write(byId("announce"), text);
  }, wait);
}

function showNothing(reason) {
  for (const card of cards.values()) {
    const { label, confidence, similarity, small, prefix } = card;
    card.stable = "";
    label.classList.add("unknown");
    write(label, "–");
    write(small, prefix + reason);
    show(confidence, 0, "–");
    show(similarity, 0, "–");
  }
}

export function startResults() {
  connection.on("hello", setUp);
  connection.on("examples", ({ counts }) => {
    classes = Object.keys(counts).length;
    for (const [region, { stable }] of cards) if (stable === UNKNOWN) showLabel({ region, label: UNKNOWN });
  });
  connection.on("label", (change) => {
    showLabel(change);
    announce(change);
    const list = byId("changes");
    list.prepend(row(change));
    while (list.children.length > SHOWN_CHANGES) list.lastChild.remove();
  });
  connection.on("result", showResult);
  connection.on("camera", ({ state }) => state === "lost" && showNothing("Camera lost"));
  connection.on("down", () => showNothing("No connection"));
}
