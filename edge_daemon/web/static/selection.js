// The selected examples. One option is in the tab order; arrow keys move the focus from it.

import { byId, write } from "/static/dom.js";

export const selection = new Set();
let anchor = null;

const options = () => [...document.querySelectorAll("#examples [role=option]")];
const idOf = (option) => Number(option.dataset.id);

function mark() {
  for (const option of options()) option.setAttribute("aria-selected", String(selection.has(idOf(option))));
  write(byId("selected"), `${selection.size} selected`);
  byId("selection").hidden = selection.size === 0;
}

function setTabStop(option) {
  for (const each of options()) each.tabIndex = each === option ? 0 : -1;
}

export function clearSelection() {
  selection.clear();
  mark();
}

export function keepOnly(ids) {
  for (const id of selection) if (!ids.has(id)) selection.delete(id);
}

export function select(id) {
  const option = byId(`example-${id}`);
  if (!option) return;
  toggle(option);
  option.scrollIntoView({ block: "center" });
}

function toggle(option) {
  const id = idOf(option);
  selection.has(id) ? selection.delete(id) : selection.add(id);
  anchor = id;
  setTabStop(option);
  mark();
}

function selectRange(option) {
  const all = options();
  const from = Math.max(0, all.findIndex((each) => idOf(each) === anchor));
  const [low, high] = [from, all.indexOf(option)].sort((a, b) => a - b);
  for (const each of all.slice(low, high + 1)) selection.add(idOf(each));
  setTabStop(option);
  mark();
}

// Up and down lead to the nearest thumbnail of the next row, also across classes.
function neighbour(option, key) {
  const all = options();
  const at = all.indexOf(option);
  if (key === "ArrowLeft") return all[at - 1];
  if (key === "ArrowRight") return all[at + 1];
  if (key === "Home") return all[0];
  if (key === "End") return all.at(-1);
  const { left, top } = option.getBoundingClientRect();
  const down = key === "ArrowDown";
  const beyond = (down ? all.slice(at + 1) : all.slice(0, at).reverse()).map((each) => ({ each, box: each.getBoundingClientRect() }));
  const row = beyond.find(({ box }) => (down ? box.top > top + 4 : box.top < top - 4))?.box.top;
  const inRow = beyond.filter(({ box }) => Math.abs(box.top - row) < 4);
  return inRow.sort((a, b) => Math.abs(a.box.left - left) - Math.abs(b.box.left - left))[0]?.each;
}

function moveFocus(event, option) {
  const next = neighbour(option, event.key);
  if (!next) return;
  if (event.shiftKey) {
    anchor ??= idOf(option);
    selection.add(idOf(option));
    selectRange(next);
  }
  setTabStop(next);
  next.focus();
}

function handleKey(event, remove) {
  const option = event.target.closest("[role=option]");
  if (!option) return;
  const everything = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a";
  if (/^(Arrow|Home$|End$)/.test(event.key)) moveFocus(event, option);
  else if (event.key === " " || event.key === "Enter") toggle(option);
  else if (everything) for (const each of options()) selection.add(idOf(each));
  else if (event.key === "Escape") selection.clear();
  else if (event.key === "Delete" && selection.size) remove();
  else return;
  event.preventDefault();
  mark();
}

export function startSelection(remove) {
  const list = byId("examples");
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) event.shiftKey && anchor !== null ? selectRange(option) : toggle(option);
  });
  list.addEventListener("keydown", (event) => handleKey(event, remove));
  byId("deselect").addEventListener("click", clearSelection);
  document.addEventListener("examplesshown", () => {
    setTabStop(byId(`example-${anchor}`) ?? options()[0]);
    mark();
  });
}
