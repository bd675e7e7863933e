// The websocket to the device: messages by their type, pictures on request, and a new try when it is lost.

import { get } from "/static/api.js";

const SILENCE_MS = 3000;
const TRY_AGAIN_MS = [300, 600, 1200, 2500];

class Link extends EventTarget {
  #socket = null;
  #failures = 0;
  #heardAt = 0;

  start() {
    this.#open();
    setInterval(() => this.#checkSilence(), 500);
    document.addEventListener("visibilitychange", () => document.hidden || this.#checkSilence());
  }

  send(text) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  on(type, listener) {
    this.addEventListener(type, (event) => listener(event.detail));
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/live`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = () => this.#retry(socket);
    this.#socket = socket;
    this.#heardAt = performance.now();
  }

  #hear(data) {
    this.#heardAt = performance.now();
    if (typeof data !== "string") return this.#tell("picture", data);
    const message = JSON.parse(data);
    if (message.type === "hello") this.#failures = 0;
    this.#tell(message.type, message);
  }

  #checkSilence() {
    if (this.#socket && performance.now() - this.#heardAt > SILENCE_MS) this.#retry(this.#socket);
  }

  #retry(socket) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    socket.onclose = null;
    socket.close();
    this.#tell("down");
    const wait = TRY_AGAIN_MS[Math.min(this.#failures++, TRY_AGAIN_MS.length - 1)];
    setTimeout(() => this.#comeBack(), wait);
  }

  // A refused handshake looks like a lost one: ask whether the token must be entered again.
  async #comeBack() {
    const session = await get("/api/session").catch(() => null);
    if (session && !session.open) this.#tell("closed");
    else this.#open();
  }
}

export const link = new Link();
