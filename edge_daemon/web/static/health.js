// Health checks and the log, requested every few seconds while the view is shown.

import { get } from "/static/api.js";
import { byId, make, write } from "/static/dom.js";

const PERIOD_MS = 3000;
let timer = 0;

const local = (text) => text.replace(/(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC/g, (_, day, time) => new Date(`${day}T${time}Z`).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));

function card({ name, state, value }) {
  return make("li", { class: `card ${state}` }, make("h3", {}, name), make("p", {}, make("span", { class: "unseen" }, state === "ok" ? "" : `${state}: `), local(value)));
}

async function refresh() {
  clearTimeout(timer);
  if (byId("view-health").hidden) return;
  try {
    const { checks, log } = await get("/api/health");
    byId("checks").replaceChildren(...checks.map(card));
    const tail = byId("log");
    const atEnd = tail.scrollTop + tail.clientHeight >= tail.scrollHeight - 8;
    write(tail, log.join("\n"));
    if (atEnd) tail.scrollTop = tail.scrollHeight;
  } catch (error) {
    byId("checks").replaceChildren(card({ name: "Device", state: "failed", value: error.message }));
  }
  timer = setTimeout(refresh, PERIOD_MS);
}

export function startHealth() {
  document.addEventListener("view", ({ detail }) => detail === "health" && refresh());
}
