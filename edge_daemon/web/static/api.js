// Requests to the device. A refusal becomes an Error with the device's own words.

async function answer(response) {
  const data = await response.json().catch(() => ({}));
  if (response.ok) return data;
  throw Object.assign(new Error(data.error || `the device answered ${response.status}`), { status: response.status });
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error("the device can't be reached");
  }
}

export const get = async (path) => answer(await reach(path, { cache: "no-store" }));

export const post = async (verb, body = {}) =>
  answer(
    await reach(`/api/${verb}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-edge-daemon": "1" },
      body: JSON.stringify(body),
    }),
  );
