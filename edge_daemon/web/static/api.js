// Requests to the device. An error reply becomes an Error with the device's text and the status.

async function read(response) {
  const data = await response.json().catch(() => ({}));
  if (response.ok) return data;
  throw Object.assign(new Error(data.error || `the device answered ${response.status}`), { status: response.status });
}

async function request(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error("the device can't be reached");
  }
}

export const get = async (path) => read(await request(path, { cache: "no-store" }));

export const send = async (path, content, signal) =>
  read(await request(path, { method: "POST", headers: { "content-type": "application/octet-stream", "x-edge-daemon": "1" }, body: content, signal }));

export const post = async (verb, body = {}) =>
  read(
    await request(`/api/${verb}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-edge-daemon": "1" },
      body: JSON.stringify(body),
    }),
  );
