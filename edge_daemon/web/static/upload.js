// A queue of pictures and archives with its progress; two pictures are on their way at a time.

import { send } from "/static/api.js";
import { connection } from "/static/connection.js";
import { byId, counted, make, write } from "/static/dom.js";
import { closeLabel, openedLabel } from "/static/labels.js";
import { droppedFiles, folderItems, isZip, looseItems, prepare, zipContent } from "/static/picture_files.js";
import { newId, sleep } from "/static/record.js";
import { chosenRegion } from "/static/teach.js";
import { toast } from "/static/toast.js";
import { undo } from "/static/undo.js";

const PIECE_BYTES = 1 << 19;
const MAX_PICTURE_BYTES = 16 << 20;
const MAX_TRIES = 8;
const TRY_MS = 1500;
const MAX_NAMED = 200;

let job = null;

function newJob(what) {
  return { what, batch: newId(), queue: [], total: 0, done: 0, taught: 0, known: 0, skipped: 0, change: null, ended: false, cancelled: new AbortController() };
}

function show() {
  const { what, total, done, taught, known, skipped, ended, cancelled } = job;
  const parts = [ended ? counted(taught, "picture") + " taught" : `${what}: ${done} of ${total}`];
  if (known) parts.push(`${known} known already`);
  if (skipped) parts.push(`${skipped} left out`);
  if (ended && cancelled.signal.aborted) parts.push("cancelled");
  write(byId("upload-text"), parts.join(", "));
  Object.assign(byId("upload-bar"), { max: Math.max(1, total), value: done, hidden: ended });
  byId("upload-skipped").hidden = skipped === 0;
  byId("upload-undo").hidden = !ended || job.change === null;
  write(byId("upload-cancel"), ended ? "Close" : "Cancel");
  byId("upload").hidden = false;
}

function skip(name, reason) {
  job.skipped++;
  const list = byId("upload-names");
  const text = reason.startsWith(name) ? reason : `${name}: ${reason}`;
  if (list.children.length < MAX_NAMED) list.append(make("li", {}, text));
  else if (list.children.length === MAX_NAMED) list.append(make("li", {}, "and more"));
}

// A phone may have changed its network.
async function sendAgain(path, body, { signal }) {
  for (let tries = 1; ; tries++) {
    try {
      return await send(path, body, signal);
    } catch (error) {
      if (error.status || signal.aborted || tries === MAX_TRIES) throw error;
      await sleep(TRY_MS);
    }
  }
}

async function teachOne({ name, label, read }) {
  if (!label) return skip(name, "is in no label's folder");
  const content = await prepare(await read());
  if (content.size > MAX_PICTURE_BYTES) return skip(name, `has more than ${MAX_PICTURE_BYTES >> 20} MiB`);
  const region = chosenRegion();
  const query = new URLSearchParams({ label, name, batch: job.batch, ...(region && { region }) });
  const reply = await sendAgain(`/api/picture?${query}`, content, job.cancelled);
  if (reply.duplicate === undefined) {
    job.taught++;
    job.change = reply.change;
  } else if (reply.duplicate === label) job.known++;
  else skip(name, `is taught as “${reply.duplicate}” already`);
}

async function work() {
  const { signal } = job.cancelled;
  for (let item = job.queue.shift(); item && !signal.aborted; item = job.queue.shift()) {
    try {
      await teachOne(item);
    } catch (error) {
      if (!signal.aborted) skip(item.name, error.message);
    }
    job.done++;
    show();
  }
}

async function run() {
  show();
  await Promise.all([work(), work()]);
  job.ended = true;
  show();
}

// Add items to the running upload, or begin one.
function add(items) {
  if (!items.length) return toast("There is no picture in a label's folder");
  const begins = !job || job.ended;
  if (begins) {
    job = newJob("Pictures");
    byId("upload-names").replaceChildren();
  }
  job.queue.push(...items);
  job.total += items.length;
  if (begins) run();
  else show();
}

async function sendArchive(file) {
  if (job && !job.ended) return toast("Another upload runs; wait for its end");
  const upload = newId();
  job = newJob(file.name);
  job.total = file.size;
  byId("upload-names").replaceChildren();
  show();
  try {
    for (; job.done < file.size; show()) {
      const piece = file.slice(job.done, job.done + PIECE_BYTES);
      await sendAgain(`/api/archive?${new URLSearchParams({ upload, offset: job.done })}`, piece, job.cancelled);
      job.done += piece.size;
    }
    write(byId("upload-text"), `${file.name}: importing`);
    const { added, duplicates, problems } = await send(`/api/archive?${new URLSearchParams({ upload, name: file.name })}`, "", job.cancelled.signal);
    Object.assign(job, { taught: added, known: duplicates });
    for (const problem of problems) skip("", problem);
  } catch (error) {
    if (!job.cancelled.signal.aborted) skip(file.name, error.message);
  }
  job.ended = true;
  show();
}

// Take chosen files as {path, file}. Loose pictures go to `label`, those of folders and zips to their folders' names.
async function take(files, label = "") {
  for (const { file } of files.filter(({ file }) => isZip(file))) {
    try {
      const { archive, items } = await zipContent(file);
      if (archive) await sendArchive(file);
      else add(items);
    } catch (error) {
      toast(`${file.name}: ${error.message}`);
    }
  }
  const plain = files.filter(({ file }) => !isZip(file));
  const loose = plain.filter(({ path }) => label || !path.includes("/")).map(({ file }) => file);
  if (loose.length && !label) toast("Drop pictures on a class, or type the name of a new one first");
  else if (loose.length) add(looseItems(loose, label));
  const inFolders = plain.filter(({ path }) => !label && path.includes("/"));
  if (inFolders.length) add(folderItems(inFolders));
}

function takeChosen(input, label) {
  const files = [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  input.value = "";
  take(files, label);
}

function takeIntoNew(event) {
  const label = byId("new-label").value.trim();
  if (!label) {
    event.target.value = "";
    byId("new-label").focus();
    return toast("Type the name of the new class first");
  }
  byId("new-label").value = "";
  takeChosen(event.target, label);
}

function acceptDrops(area) {
  const over = (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    for (const each of area.querySelectorAll(".dropping")) each.classList.remove("dropping");
    if (event.type === "dragover") (event.target.closest(".tile") ?? byId("new-class")).classList.add("dropping");
  };
  for (const name of ["dragover", "dragleave"]) area.addEventListener(name, over);
  area.addEventListener("drop", async (event) => {
    over(event);
    const label = event.target.closest(".tile")?.dataset.label ?? byId("new-label").value.trim();
    take(await droppedFiles(event.dataTransfer), label);
  });
}

function close() {
  if (!job.ended) return job.cancelled.abort();
  byId("upload").hidden = true;
}

export function startUpload() {
  acceptDrops(document.querySelector(".teach"));
  byId("new-pictures").addEventListener("change", takeIntoNew);
  for (const id of ["label-pictures", "label-photo"]) {
    byId(id).addEventListener("change", ({ target }) => {
      closeLabel();
      takeChosen(target, openedLabel());
    });
  }
  for (const id of ["import-file", "import-folder"]) byId(id).addEventListener("change", ({ target }) => (location.assign("#live"), takeChosen(target)));
  byId("upload-cancel").addEventListener("click", close);
  byId("upload-undo").addEventListener("click", () => (undo(job.change), close()));
  addEventListener("beforeunload", (event) => job && !job.ended && event.preventDefault());
  connection.on("loggedout", () => job?.cancelled.abort());
}
