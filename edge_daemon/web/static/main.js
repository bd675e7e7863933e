// The door, the tabs and the state of the device; the views look after themselves.

import { get, post } from "/static/api.js";
import { byId, write } from "/static/dom.js";
import { startDoubts } from "/static/doubts.js";
import { startHealth } from "/static/health.js";
import { link } from "/static/link.js";
import { startPicture } from "/static/picture.js";
import { startRegions } from "/static/regions.js";
import { startReview } from "/static/review.js";
import { startSights } from "/static/sights.js";
import { startTeaching } from "/static/teach.js";

const VIEWS = ["live", "review", "health"];
const STATES = { seeing: "Seeing", lost: "Camera lost", starting: "Starting", down: "No connection" };

function showView() {
  const name = VIEWS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "live";
  for (const view of VIEWS) {
    byId(`view-${view}`).hidden = view !== name;
    const tab = byId(`tab-${view}`);
    view === name ? tab.setAttribute("aria-current", "page") : tab.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
  document.dispatchEvent(new CustomEvent("view", { detail: name }));
}

function showState(state) {
  byId("state").dataset.state = state;
  write(byId("state-text"), STATES[state]);
}

function showDoor() {
  for (const view of VIEWS) byId(`view-${view}`).hidden = true;
  document.querySelector(".tabs").hidden = true;
  byId("door").hidden = false;
  showState("starting");
  write(byId("state-text"), "Locked");
  byId("token").focus();
}

async function enter(event) {
  event.preventDefault();
  try {
    await post("login", { token: byId("token").value });
    location.reload();
  } catch (error) {
    write(byId("login-error"), error.message);
    byId("token").select();
  }
}

function startViews() {
  link.on("hello", ({ name }) => {
    write(byId("device"), name);
    document.title = name;
  });
  link.on("camera", ({ state }) => showState(state));
  link.on("down", () => showState("down"));
  link.on("closed", showDoor);
  for (const start of [startPicture, startRegions, startSights, startTeaching, startDoubts, startReview, startHealth]) start();
  addEventListener("hashchange", showView);
  showView();
  link.start();
}

byId("login").addEventListener("submit", enter);
const session = await get("/api/session").catch(() => ({ open: true }));
session.open ? startViews() : showDoor();
