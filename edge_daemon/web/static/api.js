// Requests to the device. An error reply becomes an Error with the device's text and the status.

import { toast } from "/static/toast.js";

const TIMEOUT_MS = 120000;
const HINT_MS = 5000;

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
    if (response.ok) return await response.json();
  } catch {
    throw new Error("the device can't be reached");
  }
  if (response.status === 401) location.reload(); // to the login
  const { error } = await response.json().catch(() => ({}));
  throw Object.assign(new Error(error || `the device answered ${response.status}`), { status: response.status });
}

// A silently cut connection would keep a request waiting for minutes.
export const get = (path, ms = TIMEOUT_MS) => request(path, { cache: "no-store", signal: AbortSignal.timeout?.(ms) });

const change = (path, kind, body, signal) =>
  request(path, { method: "POST", headers: { "content-type": `application/${kind}`, "x-edge-daemon": "1" }, body, signal });

export const send = (path, content, signal) => change(path, "octet-stream", content, signal);

// A change waits while another process has locked the store.
export const post = (verb, body = {}) => {
  const hint = setTimeout(toast, HINT_MS, "The device has not answered yet; the request waits");
  return change(`/api/${verb}`, "json", JSON.stringify(body)).finally(() => clearTimeout(hint));
};
