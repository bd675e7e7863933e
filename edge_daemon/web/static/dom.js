// Elements from plain values. Text always becomes a text node, since a label may hold any character.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  if (tag === "button") element.type = tag; // not submit
  return fill(element, attributes, children);
}

export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Write changed text only: every rewritten text node is announced and painted.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function fillBar(bar, share) {
  bar.style.transform = `scaleX(${Math.max(0, Math.min(1, share)).toFixed(3)})`;
}

export const percent = (share) => `${Math.round(share * 100)} %`;

export const counted = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;
