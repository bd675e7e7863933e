// The settings: shown with their sources, changed together, given back to the configuration together.

import { get, post } from "/static/api.js";
import { connection } from "/static/connection.js";
import { byId, make, write } from "/static/dom.js";
import { showError, toast } from "/static/toast.js";

const GIVE_BACK = { classifier: null, regions: null, scene: null, smoothing: null, trigger: null };
const isType = (...types) => (values) => types.includes(values["classifier.type"]);

const WORDS = {
  "classifier.type": { auto: "auto: the best for the examples", knn: "k nearest neighbours", centroid: "nearest class mean", linear: "linear", regression: "regression, for labels that are numbers", pretrained: "the model's own classes" },
  "classifier.unknown": { auto: "auto: from the examples", off: "off: always name a class", number: "a fixed similarity" },
  "classifier.vote": { padded: "padded: fair to small classes", plain: "plain" },
  trigger: { continuous: "every frame", motion: "a thing that moves through", gpio: "a button or light barrier", mqtt: "a request over MQTT" },
  scene: { auto: "auto: for a fixed camera", on: "on", off: "off: compare the whole picture" },
};

const SECTIONS = [
  ["Classifier", "How a picture is compared with the examples.", [
    { key: "classifier.type", name: "Type" },
    { key: "classifier.k", name: "Neighbours (k)", min: 1, max: 999, step: 1, used: isType("knn", "regression") },
    { key: "classifier.metric", name: "Distance", used: isType("knn") },
    { key: "classifier.vote", name: "Vote", used: isType("knn") },
  ]],
  ["Unknown", "When a picture is like no example. A higher similarity makes it unknown sooner.", [
    { key: "classifier.unknown", name: "Threshold" },
    { key: "similarity", name: "Similarity, -1 to 1", min: -1, max: 1, step: 0.01, used: (values) => values["classifier.unknown"] === "number" },
  ]],
  ["Smoothing", "How soon the label follows.", [
    { key: "smoothing.window", name: "Frames in the vote", min: 1, max: 255, step: 1 },
    { key: "smoothing.hysteresis", name: "Lead of a new label, 0 to 1", min: 0, max: 1, step: 0.05 },
    { key: "smoothing.min_hold_s", name: "Shown for at least, in seconds", min: 0, max: 86400, step: 0.1 },
  ]],
  ["Trigger", "What starts a classification.", [{ key: "trigger", name: "Classify" }]],
  ["Scene", "Compare things without the place behind them, before a fixed camera.", [{ key: "scene", name: "Scene" }]],
];
const FIELDS = SECTIONS.flatMap(([, , fields]) => fields);
const SIMILARITY = 0.6; // where a threshold was none

let shown = null;
const controls = new Map();

// The values in use as the form has them: one flat key each; a threshold that is a number is a word and a number.
function asForm({ values, in_use: used }) {
  const flat = {};
  for (const [section, value] of Object.entries(values)) {
    if (section === "regions") continue;
    if (typeof value !== "object") flat[section] = value;
    else for (const [key, each] of Object.entries(value)) flat[`${section}.${key}`] = each;
  }
  Object.assign(flat, used);
  const threshold = flat["classifier.unknown"];
  const isNumber = typeof threshold === "number";
  return { ...flat, "classifier.unknown": isNumber ? "number" : threshold, similarity: isNumber ? threshold : SIMILARITY };
}

function entered() {
  return Object.fromEntries(FIELDS.map(({ key, step }) => [key, step ? controls.get(key).input.value.trim() : controls.get(key).input.value]));
}

const asText = (value) => String(value ?? "");
const isChanged = (key, values, form) => asText(values[key]) !== asText(form[key]);

// What was changed, by section. A field that is not used is not sent.
function changes() {
  const values = entered();
  const form = asForm(shown);
  const changed = {};
  for (const { key, step, used } of FIELDS) {
    if ((used && !used(values)) || !isChanged(key, values, form)) continue;
    const value = step && values[key] !== "" && Number.isFinite(Number(values[key])) ? Number(values[key]) : values[key];
    put(changed, key === "similarity" ? "classifier.unknown" : key, value);
  }
  if (changed.classifier?.unknown === "number") changed.classifier.unknown = Number(values.similarity);
  return changed;
}

function put(data, dotted, value) {
  const [section, key] = dotted.split(".");
  if (key === undefined) data[section] = value;
  else (data[section] ??= {})[key] = value;
}

function field(entry) {
  const { key, name, step, min, max } = entry;
  const id = `set-${key.replace(".", "-")}`;
  const input = step
    ? make("input", { id, type: "number", inputmode: "decimal", min, max, step: "any", required: "", "aria-describedby": `${id}-source` })
    : make("select", { id, "aria-describedby": `${id}-source` });
  const source = make("p", { id: `${id}-source`, class: "quiet" });
  const element = make("div", { class: "field" }, make("label", { for: id }, name), input, source);
  input.addEventListener("input", showState);
  controls.set(key, { element, input, source });
  return element;
}

function fillChoices(key, input) {
  const words = key === "classifier.unknown" ? ["auto", "off", "number"] : shown.choices[key];
  const options = words.includes(asForm(shown)[key]) ? words : [...words, asForm(shown)[key]];
  input.replaceChildren(...options.map((word) => make("option", { value: word }, WORDS[key]?.[word] ?? word)));
}

function describeSource(key, source, form) {
  const value = key === "classifier.unknown" && form[key] === "number" ? form.similarity : form[key];
  if (key in shown.in_use) return `Now ${value}, set by a request, until the next start or change here`;
  if (source === "--set") return "Fixed on the command line (--set)";
  const from = { page: "set here", default: "the default" }[source] ?? `from ${source}`;
  return `Now ${value}, ${from}`;
}

// Show the latest settings. What the user has entered and not applied stays.
function render(latest) {
  const before = shown === null ? null : asForm(shown);
  const values = before && entered();
  shown = latest;
  const form = asForm(latest);
  for (const { key, step } of FIELDS) {
    const { input, source } = controls.get(key);
    const origin = latest.sources[key === "similarity" ? "classifier.unknown" : key];
    const mine = before && isChanged(key, values, before) ? values[key] : null;
    if (!step) fillChoices(key, input);
    input.value = mine ?? asText(form[key]);
    input.disabled = origin === "--set";
    write(source, key === "similarity" ? "" : describeSource(key, origin, form));
  }
  byId("settings-fault").hidden = !latest.fault;
  if (latest.fault) write(byId("settings-fault"), `What was set on the page is not used: ${latest.fault}`);
  write(byId("settings-file"), latest.file === null
    ? "Kept until this trial ends."
    : `Kept in ${latest.file}. It comes before the configuration file, also after a reload or a restart.`);
  showState();
}

function showState() {
  if (shown === null) return;
  const values = entered();
  const form = asForm(shown);
  for (const { key, used } of FIELDS) {
    const { element } = controls.get(key);
    element.hidden = Boolean(used && !used(values));
    element.classList.toggle("changed", isChanged(key, values, form));
  }
  byId("settings-apply").disabled = Object.keys(changes()).length === 0;
  byId("settings-discard").hidden = byId("settings-apply").disabled;
  byId("settings-reset").disabled = !Object.values(shown.sources).includes("page");
}

function fault(text) {
  write(byId("settings-error"), text);
  for (const { key } of FIELDS) controls.get(key).input.setAttribute("aria-invalid", String(text.includes(`${key}:`)));
}

async function send(settings, done) {
  fault("");
  byId("settings-apply").disabled = true;
  try {
    const latest = await post("settings", { settings, revision: shown.revision });
    forget();
    render(latest);
    done(latest);
  } catch (error) {
    if (error.status === 409) await load();
    fault(error.status === 409 ? `${error.message}. What you entered is still here; apply it again to keep it.` : error.message);
  } finally {
    showState();
  }
}

// Drop what was entered.
function forget() {
  for (const { key } of FIELDS) controls.get(key).input.value = asText(asForm(shown)[key]);
  shown = null;
}

function apply(event) {
  event.preventDefault();
  const settings = changes();
  if (Object.keys(settings).length) send(settings, () => toast("Applied"));
}

function discard() {
  const latest = shown;
  forget();
  render(latest);
  fault("");
}

// What is set here, as a change that sets it again.
function setHere({ sources, values }) {
  const settings = {};
  for (const [key, source] of Object.entries(sources)) {
    const [section, name] = key.split(".");
    if (source === "page") put(settings, key, name ? values[section][name] : values[section]);
  }
  return settings;
}

function reset() {
  const former = setHere(shown);
  const again = () => send(former, () => toast("The settings are back"));
  send(GIVE_BACK, () => toast("The values of the configuration are in use", { name: "Undo", run: again }));
}

async function load() {
  try {
    const latest = await get("/api/settings");
    byId("settings-none").hidden = true;
    byId("settings-form").hidden = false;
    render(latest);
  } catch (error) {
    if (shown !== null && error.status !== 404) return; // the values of before; the header says that there is no connection
    byId("settings-form").hidden = true;
    byId("settings-none").hidden = false;
    write(byId("settings-none"), error.message);
  }
}

function form() {
  const sections = SECTIONS.map(([name, hint, fields]) =>
    make("fieldset", { class: "card" }, make("legend", {}, name), make("p", { class: "quiet" }, hint), ...fields.map(field)));
  return make(
    "form", { id: "settings-form", novalidate: "" },
    make("div", { class: "sections" }, ...sections),
    make(
      "div", { class: "actions" },
      make("p", { id: "settings-error", class: "bad", role: "alert" }),
      make("button", { id: "settings-apply", class: "primary", type: "submit" }, "Apply"),
      make("button", { id: "settings-discard", type: "button", onclick: discard }, "Discard"),
      make("button", { id: "settings-reset", type: "button", onclick: reset }, "Reset to the configuration"),
    ),
    make("p", { id: "settings-file", class: "quiet" }),
  );
}

export function startSettings() {
  byId("view-settings").append(
    make("h2", {}, "Settings"),
    make("p", { id: "settings-fault", class: "card bad", role: "alert", hidden: "" }),
    make("p", { id: "settings-none", class: "empty", role: "status", hidden: "" }),
    form(),
  );
  byId("settings-form").hidden = true; // until there are values
  byId("settings-form").addEventListener("submit", apply);
  const refresh = () => byId("view-settings").hidden || load();
  document.addEventListener("view", refresh);
  connection.on("hello", refresh); // also after the device was built again
  connection.on("settings", refresh);
}
