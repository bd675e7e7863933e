// The live picture: asked for one at a time, so a slow phone gets fewer and never old ones.

import { byId, write } from "/static/dom.js";
import { link } from "/static/link.js";

const FROZEN_MS = 1300;
const CHECK_MS = 150;
const HEADER_BYTES = 8;

let drawnAt = 0;
let asked = false;
let trouble = "";
let visible = false;

function ask() {
  if (asked || !visible || document.hidden) return;
  asked = true;
  link.send("picture");
}

async function show(data) {
  asked = false;
  const head = new DataView(data, 0, HEADER_BYTES);
  const size = { width: head.getUint16(4), height: head.getUint16(6) };
  try {
    const bitmap = await createImageBitmap(new Blob([data.slice(HEADER_BYTES)], { type: "image/jpeg" }));
    paint(bitmap, size);
  } finally {
    requestAnimationFrame(ask);
  }
}

function paint(bitmap, { width, height }) {
  const canvas = byId("picture");
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    byId("frame").style.setProperty("--ratio", `${width} / ${height}`);
    document.dispatchEvent(new CustomEvent("framesize", { detail: { width, height } }));
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  drawnAt = performance.now();
}

// What stands still says so: for whatever reason the last picture is old.
function check() {
  if (!visible || document.hidden) return;
  const age = performance.now() - drawnAt;
  const still = age > FROZEN_MS || trouble !== "";
  byId("frame").classList.toggle("still", still);
  byId("frozen").hidden = !still;
  if (still) write(byId("frozen"), trouble || `Frozen: no new picture for ${Math.floor(age / 1000)} s`);
}

export function startPicture() {
  drawnAt = performance.now();
  link.on("hello", ({ model }) => {
    asked = false;
    write(byId("model"), model);
    ask();
  });
  link.on("picture", show);
  link.on("camera", ({ state, reason }) => {
    trouble = state === "lost" ? `Camera lost: ${reason}` : "";
    check();
  });
  link.on("down", () => {
    asked = false;
    trouble = "No connection to the device; trying again";
    check();
  });
  document.addEventListener("view", ({ detail }) => {
    visible = detail === "live";
    drawnAt = performance.now();
    ask();
  });
  document.addEventListener("visibilitychange", () => {
    drawnAt = performance.now();
    ask();
  });
  setInterval(check, CHECK_MS);
}
