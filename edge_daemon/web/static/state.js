// The header: what the device does, in red with the cause while a part is lost. Teaching needs frames.

import { connection } from "/static/connection.js";
import { byId, make, write } from "/static/dom.js";

let camera = "starting";
let faults = {};
let stalled = false;
let down = "";

function parts() {
  const names = Object.keys(faults);
  if (down) return ["down", "No connection", [down]];
  if (names.length) return ["lost", `${names[0]}${names.slice(1).map((name) => `, ${name.toLowerCase()}`).join("")} lost`, names.map((name) => `${name}: ${faults[name]}`)];
  if (camera === "running" && stalled) return ["lost", "No frames", ["The camera gives no new frames"]];
  return camera === "running" ? ["running", "Running", []] : ["starting", "Starting", []];
}

export const framesCome = () => camera === "running" && !stalled && !down;

function show() {
  const [state, text, causes] = parts();
  byId("state").dataset.state = state;
  write(byId("state-text"), text);
  if (byId("causes").textContent !== causes.join("")) byId("causes").replaceChildren(...causes.map((cause) => make("p", {}, cause)));
  document.dispatchEvent(new CustomEvent("frames", { detail: framesCome() }));
}

export function showLocked() {
  byId("state").dataset.state = "starting";
  write(byId("state-text"), "Locked");
  byId("causes").replaceChildren();
}

export function startState() {
  connection.on("camera", ({ state, reason }) => {
    camera = state;
    const { Camera, ...others } = faults;
    faults = state === "lost" ? { Camera: reason, ...others } : others;
    show();
  });
  connection.on("heartbeat", (message) => {
    ({ faults, stalled } = message);
    show();
  });
  connection.on("hello", () => (down = ""));
  connection.on("down", (reason) => {
    down = reason || "Trying to reach the device again";
    show();
  });
}
