// Editing of the regions: a draft that is drawn, moved, named and ordered here, and saved as a whole.

import { get, post } from "/static/api.js";
import { connection } from "/static/connection.js";
import { byId, counted, draw, make, write } from "/static/dom.js";
import { asFractions, frameSize, inFrame, overlay, perPixel, placeName, placeRect, setEditor } from "/static/regions.js";
import { showError, toast } from "/static/toast.js";

const MIN_PX = 4; // of the frame, in either direction
const NEW_BOX = [0.3, 0.3, 0.4, 0.4];
const STEP = 0.01;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const CORNERS = { nw: [0, 0], ne: [1, 0], sw: [0, 1], se: [1, 1] };
const GRIP_PX = 9; // on the screen; a finger hits within TOUCH_PX
const TOUCH_PX = 22;
const SMALL_PX = 3 * TOUCH_PX; // a region this small on the screen has one grip, beside it, so that it can be moved
const NAME = /^[A-Za-z0-9_.-]{1,64}$/;
const PICTURE_PX = 72;
const PICTURE_MS = 150;

let settings = null; // those that the draft began with
let draft = []; // {id, name, box in fractions, given: the region as configured, moved: box differs from it}
let mine = null; // the draft that someone else's change has replaced
let nextId = 1;
let selected = null; // the id of the region with the grips
let grips = null;
const groups = new Map();
const rows = new Map();
let timer = 0;

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const panel = () => byId("region-editor");
const isOpen = () => settings !== null;
const find = (id) => draft.find((each) => each.id === id);
const fromSettings = ({ values }) =>
  values.regions.map((given) => ({ id: nextId++, name: given.name, box: asFractions(given.box), given, moved: false }));

function smallest() {
  const { width, height } = frameSize();
  return [MIN_PX / width, MIN_PX / height];
}

// A box stays in the unit that it is configured in: whole and half pixels, or fractions of the frame.
function asConfigured({ box, given, moved }) {
  if (given && !moved) return given.box;
  const { width, height } = frameSize();
  if (given && Math.max(...given.box) > 1) {
    return [box[0] * width, box[1] * height, box[2] * width, box[3] * height].map((each) => Math.round(each * 2) / 2);
  }
  const rounded = box.map((each) => Math.round(each * 1e4) / 1e4);
  rounded[2] = Math.min(rounded[2], 1 - rounded[0]);
  rounded[3] = Math.min(rounded[3], 1 - rounded[1]);
  return rounded;
}

const asRegions = () => draft.map((each) => ({ ...each.given, name: each.name.trim(), box: asConfigured(each) }));
const isDirty = () => JSON.stringify(asRegions()) !== JSON.stringify(settings.values.regions);

function moved([x, y, width, height], dx, dy) {
  return [clamp(x + dx, 0, 1 - width), clamp(y + dy, 0, 1 - height), width, height];
}

// Move one corner; the opposite one stays. `corner` is 0 or 1 in each direction.
function resized([x, y, width, height], [right, bottom], dx, dy) {
  const [minX, minY] = smallest();
  const left = right ? x : clamp(x + dx, 0, x + width - minX);
  const top = bottom ? y : clamp(y + dy, 0, y + height - minY);
  const endX = right ? clamp(x + width + dx, x + minX, 1) : x + width;
  const endY = bottom ? clamp(y + height + dy, y + minY, 1) : y + height;
  return [left, top, endX - left, endY - top];
}

// The picture

function group(region) {
  const rect = draw("rect");
  const reach = draw("rect", { class: "reach" });
  const text = draw("text", { "aria-hidden": "true" });
  const element = draw("g", { role: "application", tabindex: 0, "aria-roledescription": "region", class: "region" }, reach, rect, text);
  element.addEventListener("pointerdown", (event) => follow(event, region, moved));
  element.addEventListener("keydown", (event) => nudge(event, region));
  element.addEventListener("focus", () => select(region.id));
  return { element, rect, reach, text };
}

// The grips of the selected region lie above all regions.
function makeGrips() {
  const parts = Object.entries(CORNERS).map(([name, corner]) => {
    const part = draw("g", { class: `grip ${name}` }, draw("circle", { class: "reach" }), draw("circle"));
    part.addEventListener("pointerdown", (event) => follow(event, find(selected), (box, dx, dy) => resized(box, corner, dx, dy)));
    return part;
  });
  return draw("g", { "aria-hidden": "true" }, ...parts);
}

const isSmall = ({ width, height }) => Math.min(width, height) < SMALL_PX * perPixel();

function place(region) {
  const { element, rect, reach, text } = groups.get(region.id);
  const at = inFrame(region.box);
  const scale = perPixel();
  placeRect(rect, at);
  const spare = [TOUCH_PX * 2 * scale - at.width, TOUCH_PX * 2 * scale - at.height].map((each) => Math.max(0, each) / 2);
  placeRect(reach, { x: at.x - spare[0], y: at.y - spare[1], width: at.width + 2 * spare[0], height: at.height + 2 * spare[1] });
  placeName(text, at, isSmall(at));
  text.classList.toggle("off", isSmall(at) && region.id !== selected); // names of small regions would overlap
  write(text, region.name);
  if (region.id === selected) placeGrips(at);
  const figures = region.box.map((each) => `${Math.round(each * 100)} %`);
  element.setAttribute("aria-label", `${region.name}: left ${figures[0]}, top ${figures[1]}, width ${figures[2]}, height ${figures[3]}. Arrow keys move, with shift they resize, with control by one pixel; delete removes`);
  showSize(region);
}

function placeGrips(at) {
  const scale = perPixel();
  [...grips.children].forEach((grip, index) => {
    const [right, bottom] = Object.values(CORNERS)[index];
    const out = isSmall(at) ? TOUCH_PX * scale : 0;
    const inset = GRIP_PX * scale; // the picture's edge cuts nothing off
    grip.classList.toggle("off", isSmall(at) && !(right && bottom));
    for (const circle of grip.children) {
      circle.setAttribute("cx", clamp(at.x + right * at.width + out, inset, frameSize().width - inset));
      circle.setAttribute("cy", clamp(at.y + bottom * at.height + out, inset, frameSize().height - inset));
      circle.setAttribute("r", (circle.classList.contains("reach") ? TOUCH_PX : GRIP_PX) * scale);
    }
  });
}

function drawDraft() {
  for (const id of groups.keys()) if (!find(id)) groups.delete(id);
  for (const region of draft) if (!groups.has(region.id)) groups.set(region.id, group(region));
  grips ??= makeGrips();
  if (!find(selected)) select(null);
  const wanted = [...draft.map(({ id }) => groups.get(id).element), grips];
  const present = [...overlay().children];
  // Moving an element in the document would take its focus away.
  if (wanted.length !== present.length || wanted.some((each, index) => each !== present[index])) overlay().replaceChildren(...wanted);
  draft.forEach(place);
}

function follow(start, region, change) {
  if (start.button !== 0) return;
  start.preventDefault();
  start.stopPropagation();
  const { element } = groups.get(region.id);
  const area = overlay().getBoundingClientRect();
  const before = region.box;
  const move = ({ clientX, clientY }) => {
    setBox(region, change(before, (clientX - start.clientX) / area.width, (clientY - start.clientY) / area.height));
  };
  element.focus();
  element.setPointerCapture(start.pointerId);
  element.addEventListener("pointermove", move);
  element.addEventListener("lostpointercapture", () => (element.removeEventListener("pointermove", move), showState()), { once: true });
}

// A drag from an empty place draws a region. One as small as a tap is none.
function begin(start) {
  if (start.button !== 0 || start.target !== overlay()) return;
  start.preventDefault();
  const area = overlay().getBoundingClientRect();
  const at = ({ clientX, clientY }) => [clamp((clientX - area.left) / area.width, 0, 1), clamp((clientY - area.top) / area.height, 0, 1)];
  const [x, y] = at(start);
  let region = null;
  const move = (event) => {
    const [toX, toY] = at(event);
    const box = [Math.min(x, toX), Math.min(y, toY), Math.abs(toX - x), Math.abs(toY - y)];
    const [minX, minY] = smallest();
    if (box[2] < minX || box[3] < minY || Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) < 8) return;
    region ??= add(box);
    setBox(region, box);
  };
  const end = () => {
    overlay().removeEventListener("pointermove", move);
    if (region) rows.get(region.id).name.select();
  };
  overlay().setPointerCapture(start.pointerId);
  overlay().addEventListener("pointermove", move);
  overlay().addEventListener("lostpointercapture", end, { once: true });
}

function nudge(event, region) {
  if (event.key === "Delete") return event.preventDefault(), remove(region);
  const step = STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  const { width, height } = frameSize();
  const [dx, dy] = event.ctrlKey || event.metaKey ? [step[0] / width, step[1] / height] : [step[0] * STEP, step[1] * STEP];
  setBox(region, event.shiftKey ? resized(region.box, [1, 1], dx, dy) : moved(region.box, dx, dy));
  showState();
}

function setBox(region, box) {
  region.moved ||= box.some((each, index) => each !== region.box[index]);
  region.box = box;
  place(region);
}

// The list

function row(region) {
  const picture = make("canvas", { width: PICTURE_PX, height: PICTURE_PX, role: "img" });
  const name = make("input", { maxlength: 64, autocomplete: "off", spellcheck: "false", "aria-label": "Name of the region" });
  const size = make("p", { class: "quiet" });
  const fault = make("p", { class: "bad", id: `region-fault-${region.id}` });
  const up = make("button", { type: "button", class: "small", onclick: () => shift(region, -1) }, "↑");
  const down = make("button", { type: "button", class: "small", onclick: () => shift(region, 1) }, "↓");
  const away = make("button", { type: "button", class: "small danger", onclick: () => remove(region) }, "Remove");
  name.setAttribute("aria-describedby", fault.id);
  name.addEventListener("input", () => {
    region.name = name.value;
    place(region);
    showState();
  });
  name.addEventListener("focus", () => select(region.id));
  const element = make("li", { class: "region-row card" }, picture, make("div", { class: "what" }, name, size, fault), make("div", { class: "tools" }, up, down, away));
  return { element, picture, name, size, fault, up, down, away };
}

function showSize(region) {
  const { width, height } = inFrame(region.box);
  const size = rows.get(region.id)?.size;
  if (size) write(size, `${Math.round(width)} × ${Math.round(height)} pixels`);
}

function faultOf(region) {
  const name = region.name.trim();
  if (!name) return "Give it a name.";
  if (!NAME.test(name)) return "Letters, digits, “_”, “.” and “-” only.";
  const other = draft.find((each) => each !== region && each.name.trim() === name);
  return other && draft.indexOf(other) < draft.indexOf(region) ? "Another region has this name." : "";
}

function showRows() {
  const list = byId("region-rows");
  for (const id of rows.keys()) if (!find(id)) rows.delete(id);
  for (const region of draft) if (!rows.has(region.id)) rows.set(region.id, row(region));
  const focused = document.activeElement;
  list.replaceChildren(...draft.map(({ id }) => rows.get(id).element));
  if (list.contains(focused)) focused.focus();
  byId("region-none").hidden = draft.length > 0;
  byId("region-order").hidden = !settings.text || draft.length < 2;
  draft.forEach((region, index) => {
    const { name, up, down, away } = rows.get(region.id);
    if (name.value !== region.name) name.value = region.name;
    up.hidden = down.hidden = draft.length < 2;
    up.disabled = index === 0;
    down.disabled = index === draft.length - 1;
    showSize(region);
  });
  showState();
}

function showState() {
  if (!isOpen()) return;
  let isFine = true;
  for (const region of draft) {
    const { name, picture, fault, up, down, away } = rows.get(region.id);
    const text = faultOf(region);
    isFine &&= text === "";
    write(fault, text);
    name.setAttribute("aria-invalid", String(text !== ""));
    picture.setAttribute("aria-label", `What ${region.name} sees`);
    for (const [button, word] of [[up, "earlier"], [down, "later"]]) button.setAttribute("aria-label", `Move ${region.name} ${word}`);
    away.setAttribute("aria-label", `Remove ${region.name}`);
  }
  byId("region-save").disabled = !isFine || !isDirty();
  if (settings.text) write(byId("region-order"), `Read as one text, in this order: ${draft.map(({ name }) => name).join(", ")}`);
}

// What the model gets of each region: its middle square, or all of it, as `model.crop` says.
function drawPictures() {
  const source = byId("picture");
  for (const { id, box } of draft) {
    let [x, y, width, height] = [box[0] * source.width, box[1] * source.height, box[2] * source.width, box[3] * source.height];
    if (settings.crop === "center") {
      const side = Math.min(width, height);
      [x, y, width, height] = [x + (width - side) / 2, y + (height - side) / 2, side, side];
    }
    const context = rows.get(id)?.picture.getContext("2d");
    if (width >= 1 && height >= 1) context?.drawImage(source, x, y, width, height, 0, 0, PICTURE_PX, PICTURE_PX);
  }
}

function select(id) {
  selected = id;
  grips.classList.toggle("off", id === null);
  for (const [each, { element }] of rows) element.classList.toggle("selected", each === id);
  for (const [each, { element }] of groups) element.classList.toggle("selected", each === id);
  for (const region of draft) if (groups.has(region.id)) place(region);
}

// Changes of the draft

function freeName() {
  for (let number = 1; ; number++) if (!draft.some(({ name }) => name === `region-${number}`)) return `region-${number}`;
}

function add(box) {
  const region = { id: nextId++, name: freeName(), box, given: null, moved: true };
  draft.push(region);
  showRows();
  drawDraft();
  select(region.id);
  return region;
}

function addByButton() {
  const shift = 0.03 * (draft.length % 8);
  const region = add(moved(NEW_BOX, shift, shift));
  groups.get(region.id).element.focus();
}

function shift(region, by) {
  const from = draft.indexOf(region);
  draft.splice(from, 1);
  draft.splice(from + by, 0, region);
  showRows();
  drawDraft();
  const { up, down } = rows.get(region.id);
  const [same, other] = by < 0 ? [up, down] : [down, up];
  (same.disabled ? other : same).focus();
}

async function remove(region) {
  const at = draft.indexOf(region);
  draft.splice(at, 1);
  showRows();
  drawDraft();
  const next = draft[Math.min(at, draft.length - 1)];
  (next ? groups.get(next.id).element : byId("region-add")).focus();
  if (region.given) say(await consequences(region));
}

async function consequences({ name, given }) {
  const { examples } = await get("/api/examples").catch(() => ({ examples: [] }));
  const count = examples.filter((each) => each.region === name).length;
  const kept = count === 0 ? "" : `Its ${counted(count, "example")} ${count === 1 ? "stays" : "stay"}${given.examples === "own" ? ", unused until a region has this name again" : ""}. `;
  return `“${name}” goes when you save. ${kept}What follows its labels, such as a sorter or a rule at “${name}/label”, gets none any more.`;
}

function say(text, action = null) {
  const note = byId("region-note");
  note.hidden = !text;
  const button = action && make("button", { type: "button", class: "small", onclick: () => (say(""), action.run()) }, action.name);
  note.replaceChildren(make("span", {}, text), ...(button ? [button] : []));
}

function fault(text) {
  write(byId("region-fault"), text);
}

// Opening, saving, closing

async function open() {
  try {
    settings = await get("/api/settings");
  } catch (error) {
    return showError(error);
  }
  if (settings.sources.regions === "--set") {
    settings = null;
    return showError(new Error("the regions are fixed on the command line (--set)"));
  }
  draft = fromSettings(settings);
  mine = selected = null;
  panel().hidden = false;
  say("");
  fault("");
  showEditing();
  setEditor(drawDraft);
  showRows();
  timer = setInterval(drawPictures, PICTURE_MS);
  drawPictures();
  byId("region-help").focus({ preventScroll: true });
}

function close() {
  clearInterval(timer);
  settings = null;
  draft = [];
  rows.clear();
  groups.clear();
  panel().hidden = true;
  setEditor(null);
  showEditing();
  byId("region-edit").focus({ preventScroll: true });
}

function showEditing() {
  byId("region-edit").setAttribute("aria-expanded", String(isOpen()));
  write(byId("region-edit"), isOpen() ? "Cancel" : "Edit regions");
}

function show(latest) {
  settings = latest;
  draft = fromSettings(latest);
  showRows();
  drawDraft();
}

async function save() {
  fault("");
  byId("region-save").disabled = true;
  const former = settings.sources.regions === "page" ? settings.values.regions : null;
  try {
    const { revision } = await post("settings", { settings: { regions: asRegions() }, revision: settings.revision });
    toast("Regions saved", { name: "Undo", run: () => undo(former, revision) });
    close();
  } catch (error) {
    if (error.status === 409) await showTheirs();
    else fault(error.message);
    showState();
    byId("region-save").focus();
  }
}

async function showTheirs() {
  mine = draft;
  show(await get("/api/settings"));
  say("Someone else changed the settings meanwhile. These are the regions now.", { name: "Back to mine", run: backToMine });
}

function backToMine() {
  draft = mine;
  rows.clear();
  groups.clear();
  showRows();
  drawDraft();
}

async function undo(former, revision) {
  try {
    await post("settings", { settings: { regions: former }, revision });
    toast("The former regions are back");
  } catch (error) {
    showError(error);
  }
}

export function startRegionEditor() {
  panel().append(
    make("p", { id: "region-help", class: "quiet", tabindex: -1 }, "Drag on the picture to draw a region; drag a region to move it, a corner to resize it."),
    make("ol", { id: "region-rows" }),
    make("p", { id: "region-none", class: "empty", hidden: "" }, "No regions: the whole frame is classified."),
    make(
      "div", { class: "actions" },
      make("p", { id: "region-order", class: "quiet", hidden: "" }),
      make("p", { id: "region-note", class: "note", role: "status", hidden: "" }),
      make("p", { id: "region-fault", class: "bad", role: "alert" }),
      make("button", { type: "button", id: "region-add", onclick: addByButton }, "Add region"),
      make("button", { type: "button", id: "region-save", class: "primary", onclick: save }, "Save"),
    ),
  );
  overlay().addEventListener("pointerdown", (event) => isOpen() && begin(event));
  byId("region-edit").addEventListener("click", () => (isOpen() ? close() : open()));
  document.addEventListener("keydown", (event) => event.key === "Escape" && isOpen() && close());
  connection.on("settings", async () => {
    if (isOpen() && !isDirty()) show(await get("/api/settings"));
  });
}
