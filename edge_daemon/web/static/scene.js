// The scene without an object: its state and age, and a button that learns it.

import { post } from "/static/api.js";
import { connection } from "/static/connection.js";
import { byId, make } from "/static/dom.js";
import { showError, toast } from "/static/toast.js";
import { undo } from "/static/undo.js";

const STATES = { learning: "not known yet", changed: "changed, learned again", none: "none, the camera moves" };
const AGE_MS = 30000;

const scenes = new Map();

function age(since) {
  const minutes = Math.floor((Date.now() - Date.parse(since)) / 60000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return `${Math.floor(minutes / 1440)} days ago`;
}

function describe({ region, state, learned_at }) {
  const text = learned_at && state === "known" ? `learned ${age(learned_at)}` : STATES[state];
  const line = scenes.size > 1 ? `Scene of ${region}: ${text}` : `Scene: ${text}`;
  return make("li", { title: line }, line);
}

function show() {
  byId("scene-line").hidden = scenes.size === 0;
  byId("scene").replaceChildren(...[...scenes.values()].map(describe));
}

async function learn() {
  const button = byId("learn-scene");
  button.disabled = true;
  try {
    await post("scene");
    toast("The empty scene is learned", { name: "Undo", run: () => undo() });
  } catch (error) {
    showError(error);
  } finally {
    button.disabled = false;
  }
}

export function startScene() {
  connection.on("hello", () => (scenes.clear(), show()));
  connection.on("scene", (scene) => (scenes.set(scene.region, scene), show()));
  byId("learn-scene").addEventListener("click", learn);
  setInterval(show, AGE_MS);
}
