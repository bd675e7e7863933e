// The pictures among chosen or dropped files, folders and zips, each with its label; and their preparation.

import { readZip, unzip } from "/static/zip.js";

const PICTURE = /\.(jpe?g|jpe|jfif|png|webp|bmp|gif|tiff?|ppm|hei[cf]|avif|jxl|jp2)$/i;
const PROJECT = /^(.+)-!-[^/]*$/;
const SMALL_BYTES = 200_000;
const SIDE_PX = 1024;
const QUALITY = 0.92;

const isHidden = (path) => path.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");

// The label of `label/picture` below folders that all paths share, or of a Teachable Machine project.
function labelOf(path, shared) {
  const parts = path.split("/").slice(shared);
  if (parts.length === 2) return parts[0];
  return parts.length === 1 ? (PROJECT.exec(parts[0])?.[1] ?? null) : null;
}

function sharedFolders(paths) {
  const split = paths.map((path) => path.split("/"));
  let shared = 0;
  while (split.length && split.every((parts) => parts.length > shared + 2 && parts[shared] === split[0][shared])) shared++;
  return shared;
}

// Entries as {path, read}; the labels come from the paths.
function withLabels(entries) {
  const pictures = entries.filter(({ path }) => PICTURE.test(path) && !isHidden(path));
  const shared = sharedFolders(pictures.map(({ path }) => path));
  return pictures.map(({ path, read }) => ({ name: path, label: labelOf(path, shared), read }));
}

export const isZip = (file) => /\.(zip|tm)$/i.test(file.name);

// What a zip holds: {archive: true} for an export of the device, else {items}.
export async function zipContent(file) {
  const entries = await readZip(file);
  if (entries.some(({ name }) => name === "embeddings.f32")) return { archive: true };
  return { items: withLabels(entries.map((entry) => ({ path: entry.name, read: () => unzip(file, entry) }))) };
}

// Files of a folder: their paths give the labels.
export const folderItems = (files) => withLabels(files.map(({ path, file }) => ({ path, read: async () => file })));

export const looseItems = (files, label) => files.map((file) => ({ name: file.name, label, read: async () => file }));

// The files of a drop, each with its path.
export async function droppedFiles(transfer) {
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry, found) {
  if (!entry) return;
  if (entry instanceof File) return void found.push({ path: entry.name, file: entry });
  if (entry.isFile) return void found.push({ path: entry.fullPath.slice(1), file: await new Promise((done, fail) => entry.file(done, fail)) });
  const reader = entry.createReader();
  // It gives at most 100 entries at a time.
  for (let batch = [null]; batch.length; ) {
    batch = await new Promise((done, fail) => reader.readEntries(done, fail));
    for (const each of batch) await walk(each, found);
  }
}

// A smaller copy of a large picture. One that the browser can't read is sent as it is: the device may read it.
export async function prepare(blob) {
  if (blob.size <= SMALL_BYTES) return blob;
  const picture = await createImageBitmap(blob, { imageOrientation: "from-image" }).catch(() => null);
  if (!picture) return blob;
  const scale = Math.min(1, SIDE_PX / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return (await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY))) ?? blob;
}
