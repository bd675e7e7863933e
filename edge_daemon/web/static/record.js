// A held button records: one example at once, then one after each reply, counted, all of one burst.

import { post } from "/static/api.js";
import { connection } from "/static/connection.js";
import { counted } from "/static/dom.js";
import { showError, toast } from "/static/toast.js";
import { undo } from "/static/undo.js";

const HOLD_MS = 400;
const BURST_MS = 160;
const ASLEEP_MS = 1500;

// The recording that runs, if any: a page records one class at a time.
let recording = null;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
export const newId = () => crypto.randomUUID?.() ?? String(Math.random()).slice(2);

export async function teach(label, region, burst = "") {
  try {
    return await post("teach", { label, region, burst });
  } catch (error) {
    showError(error);
    return null;
  }
}

function flash(element) {
  element.classList.add("taught");
  setTimeout(() => element.classList.remove("taught"), 180);
}

// A timer fires late after the phone or laptop slept: nobody holds the button any more.
async function pause(ms, own) {
  const begun = Date.now();
  await sleep(ms);
  if (Date.now() - begun > ms + ASLEEP_MS) end(own);
}

async function record(own) {
  const { element, label, region } = own;
  const burst = newId();
  let count = 0;
  let wait = HOLD_MS;
  let change = null;
  // The button goes when its class is deleted elsewhere, and a finger's release with it.
  while (count === 0 || (recording === own && element.isConnected)) {
    const reply = await teach(label, region(), burst);
    if (!reply) break;
    change = reply.change;
    flash(element);
    if (++count > 1) element.dataset.recorded = count;
    await pause(wait, own);
    wait = BURST_MS;
  }
  end(own);
  delete element.dataset.recorded;
  if (count > 1) toast(`${counted(count, "example")} of “${label}” recorded`, { name: "Undo", run: () => undo(change) });
}

function begin(own) {
  if (recording) return;
  recording = own;
  own.element.classList.add("recording");
  record(own);
}

function end(own = recording) {
  if (!own || recording !== own) return;
  own.element.classList.remove("recording");
  recording = null;
}

// Records `label` while `element` is held, by pointer or by the keys Enter and Space.
export function recordWhileHeld(element, label, region) {
  const press = () => begin({ element, label, region });
  const release = () => recording?.element === element && end();
  element.addEventListener("pointerdown", (event) => event.button === 0 && (element.setPointerCapture(event.pointerId), press()));
  for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) element.addEventListener(name, release);
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  const isPress = (event) => event.key === "Enter" || event.key === " ";
  element.addEventListener("keydown", (event) => isPress(event) && (event.preventDefault(), event.repeat || press()));
  element.addEventListener("keyup", (event) => isPress(event) && (event.preventDefault(), release()));
  // Assistive technology such as a screen reader sends a click without pointer or key events.
  element.addEventListener("click", async (event) => event.detail === 0 && (await teach(label, region())) && flash(element));
}

export function startRecording() {
  document.addEventListener("visibilitychange", () => document.hidden && end());
  addEventListener("pagehide", () => end());
  connection.on("down", () => end());
}
