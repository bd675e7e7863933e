// How long the present label holds, and each label since the start: its count, time and last picture.

import { get } from "/static/api.js";
import { colourOf } from "/static/classes.js";
import { connection } from "/static/connection.js";
import { byId, counted, make, write } from "/static/dom.js";

const DELAY_MS = 1000;
const PERIOD_MS = 15000;
const DAY_S = 86400;

const regions = new Map();
const tiles = new Map();
let taught = [];
let visible = false;
let timer = 0;
let soon = 0;

// The device's clock may be wrong, so durations come from the device and times from the browser.
function duration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < DAY_S) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / DAY_S)} d ${Math.floor((seconds % DAY_S) / 3600)} h`;
}

function showSince() {
  for (const { element, since } of regions.values()) {
    const seconds = since === null ? 0 : (Date.now() - since) / 1000;
    const begin = since === null ? null : new Date(since);
    const time = begin && (seconds < DAY_S ? begin.toLocaleTimeString() : begin.toLocaleString());
    write(element, begin ? `for ${duration(Math.max(0, seconds))}, since ${time}` : "");
  }
}

function setLabel({ region, held_s }) {
  if (regions.has(region)) regions.get(region).since = Date.now() - held_s * 1000;
  showSince();
}

function setUp({ regions: all, labels }) {
  regions.clear();
  const cards = byId("results").children;
  all.forEach(({ name }, index) => {
    const element = make("p", { class: "since quiet" });
    cards[index].querySelector(".label").after(element);
    regions.set(name, { element, since: null });
  });
  labels.forEach(setLabel);
  refresh();
}

function makeTile(label) {
  const picture = make("img", { alt: "", width: 160, height: 120, loading: "lazy", onerror: () => picture.classList.add("none") });
  const [count, ago] = [make("span"), make("span")];
  const element = make("li", { class: "card" }, make("div", { class: "look" }, picture), make("h3", { title: label }, label), make("p", { class: "quiet" }, count, ago));
  return { element, picture, count, ago, number: null };
}

function showTile({ label, times, objects, ago_s, picture }) {
  if (!tiles.has(label)) tiles.set(label, makeTile(label));
  const tile = tiles.get(label);
  tile.element.className = `card ${taught.includes(label) ? colourOf(label) : ""}`;
  if (picture !== tile.number) {
    tile.number = picture;
    tile.picture.classList.toggle("none", picture === null);
    if (picture !== null) tile.picture.src = `/api/history/${picture}.jpg`;
  }
  write(tile.count, objects ? counted(objects, "object") : counted(times, "time"));
  write(tile.ago, ago_s === 0 ? "now" : `${duration(ago_s)} ago`);
  return tile.element;
}

// In the order of the classes, so that no tile moves when a label comes.
function order({ label }) {
  const place = taught.indexOf(label);
  return place < 0 ? taught.length : place;
}

async function refresh() {
  clearTimeout(timer);
  if (!visible || document.hidden) return;
  try {
    const { labels } = await get("/api/history");
    const known = new Set(labels.map(({ label }) => label));
    for (const label of tiles.keys()) if (!known.has(label)) tiles.delete(label);
    labels.sort((a, b) => order(a) - order(b) || (a.label < b.label ? -1 : 1));
    const elements = labels.map(showTile);
    const list = byId("history");
    if (elements.length !== list.children.length || elements.some((each, index) => each !== list.children[index])) list.replaceChildren(...elements);
  } catch {
    // The connection's own state says so.
  }
  timer = setTimeout(refresh, PERIOD_MS);
}

function refreshSoon() {
  soon ||= setTimeout(() => ((soon = 0), refresh()), DELAY_MS);
}

export function startHistory() {
  connection.on("hello", setUp);
  connection.on("examples", ({ counts }) => {
    taught = Object.keys(counts);
    refreshSoon();
  });
  connection.on("label", (change) => {
    setLabel(change);
    refreshSoon();
  });
  const forget = () => {
    for (const each of regions.values()) each.since = null;
    showSince();
    refreshSoon();
  };
  connection.on("camera", ({ state }) => state === "lost" && forget());
  connection.on("down", forget);
  document.addEventListener("view", ({ detail }) => {
    visible = detail === "live";
    refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  setInterval(showSince, 1000);
}
