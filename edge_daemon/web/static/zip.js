// Reads zips in the browser, entry by entry, so that no zip is whole in memory or on the device.

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const MAX_ENTRIES = 60000;
const MAX_DIRECTORY = 16 << 20;
const MAX_ENTRY = 64 << 20;

const view = async (blob) => new DataView(await blob.arrayBuffer());

async function findEnd(file) {
  const tail = await view(file.slice(-66000));
  for (let at = tail.byteLength - 22; at >= 0; at--) {
    if (tail.getUint32(at, true) === END) return { count: tail.getUint16(at + 10, true), size: tail.getUint32(at + 12, true), offset: tail.getUint32(at + 16, true) };
  }
  throw new Error("it is no zip, or its end is missing");
}

// The files of a zip as {name, size, packed, method, offset}. Throws an Error with the fault.
export async function readZip(file) {
  const { count, size, offset } = await findEnd(file);
  if (count > MAX_ENTRIES || size > MAX_DIRECTORY || offset === 0xffffffff) throw new Error("it holds too many files");
  const bytes = await view(file.slice(offset, offset + size));
  const entries = [];
  for (let at = 0; at + 46 <= bytes.byteLength && bytes.getUint32(at, true) === ENTRY; ) {
    const length = bytes.getUint16(at + 28, true);
    const name = new TextDecoder().decode(new Uint8Array(bytes.buffer, at + 46, length));
    const encrypted = bytes.getUint16(at + 8, true) & 1;
    const entry = { name, size: bytes.getUint32(at + 24, true), packed: bytes.getUint32(at + 20, true), method: encrypted ? -1 : bytes.getUint16(at + 10, true), offset: bytes.getUint32(at + 42, true) };
    if (!name.endsWith("/")) entries.push(entry);
    at += 46 + length + bytes.getUint16(at + 30, true) + bytes.getUint16(at + 32, true);
  }
  return entries;
}

// The content of an entry as a Blob, never more than its directory says or MAX_ENTRY.
export async function unzip(file, { size, packed, method, offset }) {
  if (method !== 0 && method !== 8) throw new Error("is packed or encrypted in a way that this page doesn't read");
  if (size > MAX_ENTRY) throw new Error(`unpacks to more than ${MAX_ENTRY >> 20} MiB`);
  const head = await view(file.slice(offset, offset + 30));
  const begin = offset + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const content = file.slice(begin, begin + packed);
  if (method === 0) return content;
  const parts = [];
  let total = 0;
  const reader = content.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    total += part.value.length;
    if (total > size) {
      await reader.cancel();
      throw new Error("unpacks to more than its directory says");
    }
    parts.push(part.value);
  }
  return new Blob(parts);
}
