// Doubtful moments as pictures with one-tap labels. Each keeps its place until another takes it.

import { post } from "/static/api.js";
import { colourOf } from "/static/classes.js";
import { byId, make } from "/static/dom.js";
import { link } from "/static/link.js";
import { complain, toast } from "/static/toast.js";

const PLACES = 4;
const ANSWERS = 3;

const shown = new Array(PLACES).fill(null);
let waiting = null;

const strip = () => byId("doubts");
const inUse = () => strip().matches(":hover, :focus-within");

function card({ moment, reason, likely }) {
  const answers = likely.slice(0, ANSWERS).map((label) =>
    make("button", { type: "button", class: colourOf(label), "aria-label": `It was ${label}`, onclick: () => teach(moment, label) }, label),
  );
  const picture = make("img", { src: `/api/moments/${moment}.jpg`, alt: `Doubtful moment: ${reason}`, width: 168, height: 100, onerror: () => settle({ moment }) });
  return make("li", { class: "full" }, picture, make("p", { class: "why", title: reason }, reason), make("div", { class: "answers" }, ...answers));
}

const emptyPlace = () => make("li", { "aria-hidden": "true" });

function put(doubt) {
  const place = doubt.moment % PLACES;
  shown[place] = doubt;
  strip().children[place].replaceWith(card(doubt));
}

// A card never changes under a finger or the focus: what comes meanwhile waits, the latest of it.
function add(doubt) {
  if (inUse() && shown[doubt.moment % PLACES]) waiting = doubt;
  else put(doubt);
}

function settle({ moment }) {
  const place = moment % PLACES;
  if (shown[place]?.moment !== moment) return;
  shown[place] = null;
  strip().children[place].replaceWith(emptyPlace());
}

async function teach(moment, label) {
  try {
    await post("moment", { moment, label });
    toast(`Taught “${label}” with that moment`);
  } catch (error) {
    complain(error);
    settle({ moment });
  }
}

export function startDoubts() {
  link.on("hello", () => {
    shown.fill(null);
    strip().replaceChildren(...shown.map(emptyPlace));
  });
  link.on("doubt", add);
  link.on("settled", settle);
  setInterval(() => {
    if (waiting && !inUse()) {
      put(waiting);
      waiting = null;
    }
  }, 500);
}
