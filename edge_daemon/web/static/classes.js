// Colours of the classes, assigned in the order of their first example and kept.

const COLOURS = 8;
const indices = new Map();

export function colourOf(label) {
  if (!indices.has(label)) indices.set(label, indices.size % COLOURS);
  return `c${indices.get(label)}`;
}

export const indexOf = (label) => (colourOf(label), indices.get(label));
