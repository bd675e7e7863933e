// The login, the tabs and the state of the device.

import { get, post } from "/static/api.js";
import { startCompact } from "/static/compact.js";
import { connection } from "/static/connection.js";
import { byId, write } from "/static/dom.js";
import { startSender } from "/static/sender.js";
import { startHealth } from "/static/health.js";
import { startHistory } from "/static/history.js";
import { startLabels } from "/static/labels.js";
import { startPicture } from "/static/picture.js";
import { startRegionEditor } from "/static/region_editor.js";
import { startRecording } from "/static/record.js";
import { startRegions } from "/static/regions.js";
import { startResults } from "/static/results.js";
import { startReview } from "/static/review.js";
import { startScene } from "/static/scene.js";
import { startSettings } from "/static/settings.js";
import { showLocked, startState } from "/static/state.js";
import { startTeaching } from "/static/teach.js";
import { startUncertain } from "/static/uncertain.js";
import { startUndo } from "/static/undo.js";
import { startUpload } from "/static/upload.js";
import { startWalk } from "/static/walk.js";
import { startWhy } from "/static/why.js";

const VIEWS = ["live", "review", "settings", "health"];

function showView() {
  const name = VIEWS.find((view) => location.hash === `#${view}`) ?? "live";
  for (const view of VIEWS) {
    byId(`view-${view}`).hidden = view !== name;
    const tab = byId(`tab-${view}`);
    view === name ? tab.setAttribute("aria-current", "page") : tab.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
  document.dispatchEvent(new CustomEvent("view", { detail: name }));
}

function showLogin() {
  for (const view of VIEWS) byId(`view-${view}`).hidden = true;
  document.querySelector(".tabs").hidden = true;
  byId("login-view").hidden = false;
  showLocked();
  byId("token").focus();
}

async function login(event) {
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
  connection.on("hello", ({ name }) => {
    write(byId("device"), name);
    document.title = name;
  });
  connection.on("loggedout", showLogin);
  for (const start of [startState, startPicture, startCompact, startRegions, startResults, startTeaching, startRecording, startUndo, startLabels, startUpload, startWalk, startScene, startSender, startUncertain, startWhy, startHistory, startReview, startHealth, startRegionEditor, startSettings]) start();
  addEventListener("hashchange", showView);
  showView();
  connection.start();
}

byId("login").addEventListener("submit", login);
const session = await get("/api/session").catch(() => ({ open: true }));
session.open ? startViews() : showLogin();
