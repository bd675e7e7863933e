// The live picture. Each image is requested after the last one is drawn, so a slow phone gets no stale ones.

import { connection } from "/static/connection.js";
import { byId, write } from "/static/dom.js";

const FROZEN_MS = 1300;
const LATE_MS = 3000;
const CHECK_MS = 150;
const HEADER_BYTES = 8;

let drawnAt = 0;
let requested = false;
let fault = "";
let stalled = false;
let visible = false;

function request() {
  if (requested || !visible || document.hidden) return;
  requested = true;
  connection.send("picture");
}

async function show(data) {
  requested = false;
  const head = new DataView(data, 0, HEADER_BYTES);
  const size = { width: head.getUint16(4), height: head.getUint16(6) };
  try {
    const bitmap = await createImageBitmap(new Blob([data.slice(HEADER_BYTES)], { type: "image/jpeg" }));
    paint(bitmap, size);
  } finally {
    requestAnimationFrame(request);
  }
}

function paint(bitmap, { width, height }) {
  const canvas = byId("picture");
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    byId("frame").parentElement.style.setProperty("--ratio", `${width} / ${height}`);
    document.dispatchEvent(new CustomEvent("framesize", { detail: { width, height } }));
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  drawnAt = performance.now();
}

// A picture is marked as frozen, with the reason, when the camera gives no frames; only with its age when it is late.
function check() {
  if (!visible || document.hidden) return;
  const age = performance.now() - drawnAt;
  const old = age > FROZEN_MS && (stalled || age > LATE_MS);
  const still = fault !== "" || (old && stalled);
  byId("frame").classList.toggle("still", still);
  byId("frozen").classList.toggle("late", !still);
  byId("frozen").hidden = !still && !old;
  const seconds = Math.floor(age / 1000);
  if (still || old) write(byId("frozen"), fault || (stalled ? `Frozen: no new picture for ${seconds} s` : `Picture of ${seconds} s ago`));
}

export function startPicture() {
  drawnAt = performance.now();
  connection.on("hello", ({ model }) => {
    requested = false;
    write(byId("model"), model);
    request();
  });
  connection.on("picture", show);
  connection.on("camera", ({ state, reason }) => {
    fault = state === "lost" ? `Camera lost: ${reason}` : "";
    check();
  });
  connection.on("heartbeat", (message) => ({ stalled } = message));
  connection.on("down", (reason) => {
    requested = false;
    fault = reason || "No connection to the device; trying again";
    check();
  });
  document.addEventListener("view", ({ detail }) => {
    visible = detail === "live";
    drawnAt = performance.now();
    request();
  });
  document.addEventListener("visibilitychange", () => {
    drawnAt = performance.now();
    request();
  });
  setInterval(check, CHECK_MS);
}
