// The first-use walk: show, hold, ask. Shown only where nothing is taught.

import { connection } from "/static/connection.js";
import { byId, make } from "/static/dom.js";

const HELD = 5;
const DONE_MS = 6000;
const STEPS = [
  ["Show", "Hold a thing in front of the camera, type its name below and teach it."],
  ["Hold", `Hold its button until ${HELD} examples are counted. Turn the thing meanwhile.`],
  ["Ask", "Take it away and show it again. Its name stands above."],
  ["Done", "Teach the next thing in the same way. Two or more can be told apart."],
];

let step = null;
let labels = [];

function show() {
  byId("walk").hidden = step === null;
  if (step === null) return;
  const item = ([name], index) => make("li", { "aria-current": index === step ? "step" : null, class: index < step ? "done" : null }, name);
  byId("walk-steps").replaceChildren(...STEPS.slice(0, 3).map(item));
  byId("walk-text").textContent = STEPS[step][1];
}

function go(next) {
  if (step === null || (next !== null && next <= step)) return;
  step = next;
  show();
  if (step === 3) setTimeout(() => go(null), DONE_MS);
}

export function startWalk() {
  let asked = false;
  connection.on("examples", ({ counts }) => {
    labels = Object.keys(counts);
    // The first counts decide: a page that is opened where something is taught has no walk.
    if (!asked) step = labels.length ? null : 0;
    asked = true;
    show();
    if (labels.length) go(1);
    if (Object.values(counts).some((count) => count >= HELD)) go(2);
    if (labels.length > 1) go(3);
  });
  // The thing has to leave and come back: the label that its teaching gave does not count.
  connection.on("label", ({ label, previous }) => step === 2 && labels.includes(label) && previous !== label && go(3));
  byId("walk-end").addEventListener("click", () => go(null));
}
