// One message at a time at the foot of the page, with at most one action.

import { byId, make } from "/static/dom.js";

const LASTS_MS = 6000;
let timer = 0;

export function toast(text, action = null) {
  show(make("p", {}, make("span", {}, text), action && button(action)));
}

export function showError(error) {
  show(make("p", { class: "wrong" }, make("span", {}, error.message)));
}

function show(message) {
  clearTimeout(timer);
  byId("toast").replaceChildren(message);
  timer = setTimeout(hide, LASTS_MS);
}

function hide() {
  const toasted = byId("toast");
  // A finger leaves its last place hovered.
  if (toasted.matches(matchMedia("(hover: hover)").matches ? ":hover, :focus-within" : ":focus-within")) timer = setTimeout(hide, 1000);
  else toasted.replaceChildren();
}

function button({ name, run }) {
  return make("button", { onclick: () => (byId("toast").replaceChildren(), run()) }, name);
}
