// Uncertain samples as images with one-tap labels. A sample keeps its slot until a later one replaces it.

import { post } from "/static/api.js";
import { colourOf } from "/static/classes.js";
import { connection } from "/static/connection.js";
import { byId, make } from "/static/dom.js";
import { showError, toast } from "/static/toast.js";
import { quoted, undo } from "/static/undo.js";
import { nearestRow } from "/static/why.js";

const SLOTS = 4;
const LABELS = 3;

const shown = new Array(SLOTS).fill(null);
let waiting = null;

const strip = () => byId("uncertain");
const inUse = () => strip().matches(":hover, :focus-within");

function card({ sample, reason: said, likely, nearest }) {
  const reason = quoted(said);
  const buttons = likely.slice(0, LABELS).map((label) =>
    make("button", { class: colourOf(label), "aria-label": `It was ${label}`, onclick: () => setLabel(sample, label) }, label),
  );
  const picture = make("img", { src: `/api/uncertain/${sample}.jpg`, alt: `Uncertain: ${reason}`, width: 160, height: 120, onerror: () => remove({ sample }) });
  return make("li", { class: "full card" }, picture, nearestRow(nearest).element, make("p", { class: "why", title: reason }, reason), make("div", { class: "labels" }, ...buttons));
}

const slotOf = ({ sample }) => (sample - 1) % SLOTS; // samples count from 1
const emptySlot = () => make("li", { "aria-hidden": "true" });

function put(message) {
  const slot = slotOf(message);
  shown[slot] = message;
  strip().children[slot].replaceWith(card(message));
}

// No card is replaced while the strip is hovered or focused; the latest new sample is kept for later.
function add(message) {
  if (inUse() && shown[slotOf(message)]) waiting = message;
  else put(message);
}

function remove(message) {
  const slot = slotOf(message);
  if (shown[slot]?.sample !== message.sample) return;
  shown[slot] = null;
  const card = strip().children[slot];
  const focused = card.querySelector(":focus-visible");
  card.replaceWith(emptySlot());
  if (focused) strip().querySelector("button")?.focus({ preventScroll: true });
}

async function setLabel(sample, label) {
  try {
    const { change } = await post("label", { sample, label });
    toast(`Added to “${label}”`, { name: "Undo", run: () => undo(change) });
  } catch (error) {
    showError(error);
    remove({ sample });
  }
}

export function startUncertain() {
  connection.on("hello", () => {
    shown.fill(null);
    strip().replaceChildren(...shown.map(emptySlot));
  });
  connection.on("uncertain", add);
  connection.on("resolved", remove);
  setInterval(() => {
    if (waiting && !inUse()) {
      put(waiting);
      waiting = null;
    }
  }, 500);
}
