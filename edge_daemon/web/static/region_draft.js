// The draft of the regions: its boxes in fractions of the frame, and the regions that it stands for.

import { asFractions, frameSize } from "/static/regions.js";

const MIN_PX = 4; // of the frame, in either direction
const NAME = /^[A-Za-z0-9_.-]{1,64}$/;

// `settings` are those that the draft began with; `selected` is the id of the region with the grips. A region of `draft` is
// {id, name, box, given: the region as configured, moved: box differs from it}.
export const edit = { settings: null, draft: [], selected: null };
let nextId = 1;

export const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
export const find = (id) => edit.draft.find((each) => each.id === id);
export const newRegion = (name, box, given = null) => ({ id: nextId++, name, box, given, moved: given === null });
export const fromSettings = ({ values }) => values.regions.map((given) => newRegion(given.name, asFractions(given.box), given));

export function smallest() {
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

export const asRegions = () => edit.draft.map((each) => ({ ...each.given, name: each.name.trim(), box: asConfigured(each) }));
export const isDirty = () => JSON.stringify(asRegions()) !== JSON.stringify(edit.settings.values.regions);

export function moved([x, y, width, height], dx, dy) {
  return [clamp(x + dx, 0, 1 - width), clamp(y + dy, 0, 1 - height), width, height];
}

// Move one corner; the opposite one stays. `corner` is 0 or 1 in each direction.
export function resized([x, y, width, height], [right, bottom], dx, dy) {
  const [minX, minY] = smallest();
  const left = right ? x : clamp(x + dx, 0, x + width - minX);
  const top = bottom ? y : clamp(y + dy, 0, y + height - minY);
  const endX = right ? clamp(x + width + dx, x + minX, 1) : x + width;
  const endY = bottom ? clamp(y + height + dy, y + minY, 1) : y + height;
  return [left, top, endX - left, endY - top];
}

export function faultOf(region) {
  const name = region.name.trim();
  if (!name) return "Give it a name.";
  if (!NAME.test(name)) return "Letters, digits, “_”, “.” and “-” only.";
  return edit.draft.find((each) => each.name.trim() === name) === region ? "" : "Another region has this name.";
}

export function freeName() {
  for (let number = 1; ; number++) if (!edit.draft.some(({ name }) => name === `region-${number}`)) return `region-${number}`;
}
