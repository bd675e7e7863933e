// Editing of the regions: a draft that is drawn, moved, named and ordered here, and saved as a whole.

import { get, post } from "/static/api.js";
import { connection } from "/static/connection.js";
import { byId, counted, make, write } from "/static/dom.js";
import { asRegions, edit, faultOf, find, freeName, fromSettings, isDirty, moved, newRegion } from "/static/region_draft.js";
import { begin, drawDraft, focusOn, forgetGroups, place, select } from "/static/region_picture.js";
import { inFrame, overlay, setEditor } from "/static/regions.js";
import { showError, toast } from "/static/toast.js";

const NEW_BOX = [0.3, 0.3, 0.4, 0.4];
const PICTURE_PX = 72;
const PICTURE_MS = 150;

let mine = null; // the draft that someone else's change has replaced
const rows = new Map();
let timer = 0;

const panel = () => byId("region-editor");
const isOpen = () => edit.settings !== null;

// The list

function row(region) {
  const picture = make("canvas", { width: PICTURE_PX, height: PICTURE_PX, role: "img" });
  const name = make("input", { maxlength: 64, autocomplete: "off", spellcheck: "false", "aria-label": "Name of the region" });
  const size = make("p", { class: "quiet" });
  const fault = make("p", { class: "bad", id: `region-fault-${region.id}` });
  const up = make("button", { class: "small", onclick: () => shift(region, -1) }, "↑");
  const down = make("button", { class: "small", onclick: () => shift(region, 1) }, "↓");
  const away = make("button", { class: "small danger", onclick: () => remove(region) }, "Remove");
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

export function markRow(id) {
  for (const [each, { element }] of rows) element.classList.toggle("selected", each === id);
}

export const selectName = ({ id }) => rows.get(id).name.select();

export function showSize(region) {
  const { width, height } = inFrame(region.box);
  const size = rows.get(region.id)?.size;
  if (size) write(size, `${Math.round(width)} × ${Math.round(height)} pixels`);
}

function showRows() {
  const list = byId("region-rows");
  for (const id of rows.keys()) if (!find(id)) rows.delete(id);
  for (const region of edit.draft) if (!rows.has(region.id)) rows.set(region.id, row(region));
  const focused = document.activeElement;
  list.replaceChildren(...edit.draft.map(({ id }) => rows.get(id).element));
  if (list.contains(focused)) focused.focus();
  byId("region-none").hidden = edit.draft.length > 0;
  byId("region-order").hidden = !edit.settings.text || edit.draft.length < 2;
  edit.draft.forEach((region, index) => {
    const { name, up, down, away } = rows.get(region.id);
    if (name.value !== region.name) name.value = region.name;
    up.hidden = down.hidden = edit.draft.length < 2;
    up.disabled = index === 0;
    down.disabled = index === edit.draft.length - 1;
    showSize(region);
  });
  showState();
}

export function showState() {
  if (!isOpen()) return;
  let isFine = true;
  for (const region of edit.draft) {
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
  if (edit.settings.text) write(byId("region-order"), `Read as one text, in this order: ${edit.draft.map(({ name }) => name).join(", ")}`);
}

// What the model gets of each region: its middle square, or all, as `model.crop` says.
function drawPictures() {
  const source = byId("picture");
  for (const { id, box } of edit.draft) {
    let [x, y, width, height] = [box[0] * source.width, box[1] * source.height, box[2] * source.width, box[3] * source.height];
    if (edit.settings.crop === "center") {
      const side = Math.min(width, height);
      [x, y, width, height] = [x + (width - side) / 2, y + (height - side) / 2, side, side];
    }
    const context = rows.get(id)?.picture.getContext("2d");
    if (width >= 1 && height >= 1) context?.drawImage(source, x, y, width, height, 0, 0, PICTURE_PX, PICTURE_PX);
  }
}

// Changes of the draft

export function add(box) {
  const region = newRegion(freeName(), box);
  edit.draft.push(region);
  showRows();
  drawDraft();
  select(region.id);
  return region;
}

function addByButton() {
  const shift = 0.03 * (edit.draft.length % 8);
  const region = add(moved(NEW_BOX, shift, shift));
  focusOn(region);
}

function shift(region, by) {
  const from = edit.draft.indexOf(region);
  edit.draft.splice(from, 1);
  edit.draft.splice(from + by, 0, region);
  showRows();
  drawDraft();
  const { up, down } = rows.get(region.id);
  const [same, other] = by < 0 ? [up, down] : [down, up];
  (same.disabled ? other : same).focus();
}

export async function remove(region) {
  const at = edit.draft.indexOf(region);
  edit.draft.splice(at, 1);
  showRows();
  drawDraft();
  const next = edit.draft[Math.min(at, edit.draft.length - 1)];
  if (next) focusOn(next);
  else byId("region-add").focus();
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
  const button = action && make("button", { class: "small", onclick: () => (say(""), action.run()) }, action.name);
  note.replaceChildren(make("span", {}, text), ...(button ? [button] : []));
}

function fault(text) {
  write(byId("region-fault"), text);
}

// Opening, saving, closing

async function open() {
  try {
    edit.settings = await get("/api/settings");
  } catch (error) {
    return showError(error);
  }
  if (edit.settings.sources.regions === "--set") {
    edit.settings = null;
    return showError(new Error("the regions are fixed on the command line (--set)"));
  }
  edit.draft = fromSettings(edit.settings);
  mine = edit.selected = null;
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
  edit.settings = null;
  edit.draft = [];
  rows.clear();
  forgetGroups();
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
  edit.settings = latest;
  edit.draft = fromSettings(latest);
  showRows();
  drawDraft();
}

async function save() {
  fault("");
  byId("region-save").disabled = true;
  const former = edit.settings.sources.regions === "page" ? edit.settings.values.regions : null;
  try {
    const { revision } = await post("settings", { settings: { regions: asRegions() }, revision: edit.settings.revision });
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
  mine = edit.draft;
  show(await get("/api/settings"));
  say("Someone else changed the settings meanwhile. These are the regions now.", { name: "Back to mine", run: backToMine });
}

function backToMine() {
  edit.draft = mine;
  rows.clear();
  forgetGroups();
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
      make("button", { id: "region-add", onclick: addByButton }, "Add region"),
      make("button", { id: "region-save", class: "primary", onclick: save }, "Save"),
    ),
  );
  overlay().addEventListener("pointerdown", (event) => isOpen() && begin(event));
  byId("region-edit").addEventListener("click", () => (isOpen() ? close() : open()));
  document.addEventListener("keydown", (event) => event.key === "Escape" && isOpen() && (isDirty() ? say("Not saved yet: save or cancel.") : close()));
  const isUntouched = () => isOpen() && !isDirty();
  connection.on("settings", async () => {
    const latest = isUntouched() && (await get("/api/settings"));
    if (latest && isUntouched()) show(latest); // nothing was drawn meanwhile
  });
}
