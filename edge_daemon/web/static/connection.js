// The websocket to the device: dispatches messages by type and reconnects with growing delays.

import { get } from "/static/api.js";

const TIMEOUT_MS = 3000;
const RETRY_MS = [300, 600, 1200, 2500];

class Connection extends EventTarget {
  #socket = null;
  #failures = 0;
  #receivedAt = 0;

  start() {
    this.#open();
    setInterval(() => this.#checkTimeout(), 500);
    document.addEventListener("visibilitychange", () => document.hidden || this.#checkTimeout());
  }

  send(text) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  on(type, listener) {
    this.addEventListener(type, (event) => listener(event.detail));
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #open() {
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/live`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ reason }) => this.#retry(socket, reason);
    this.#socket = socket;
    this.#receivedAt = performance.now();
  }

  #receive(data) {
    this.#receivedAt = performance.now();
    if (typeof data !== "string") return this.#emit("picture", data);
    const message = JSON.parse(data);
    if (message.type === "hello") this.#failures = 0;
    if (message.counts) Object.setPrototypeOf(message.counts, null); // "constructor" is a label
    this.#emit(message.type, message);
  }

  #checkTimeout() {
    if (this.#socket && performance.now() - this.#receivedAt > TIMEOUT_MS) this.#retry(this.#socket);
  }

  #retry(socket, reason) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    socket.onclose = null;
    socket.close();
    this.#emit("down", reason);
    const wait = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)];
    setTimeout(() => this.#reconnect(), wait);
  }

  // A refused handshake looks like a lost connection, so the session is checked first.
  async #reconnect() {
    const session = await get("/api/session", TIMEOUT_MS).catch(() => null);
    if (session && !session.open) this.#emit("loggedout");
    else this.#open();
  }
}

export const connection = new Connection();
