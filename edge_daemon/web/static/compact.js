// On a narrow page picture and labels stay in view, small at the top, while the rest scrolls.

import { byId } from "/static/dom.js";

const VISIBLE = 0.4;

export function startCompact() {
  const watch = ([{ intersectionRatio, boundingClientRect }]) =>
    byId("view-live").classList.toggle("compact", intersectionRatio < VISIBLE && boundingClientRect.height > 0 && boundingClientRect.top < 0);
  new IntersectionObserver(watch, { threshold: VISIBLE }).observe(byId("frame").parentElement);
}
