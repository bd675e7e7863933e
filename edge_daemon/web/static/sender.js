// Gives this browser's camera to the device: one picture for each request, and only while a button says so.

import { connection } from "/static/connection.js";
import { byId, write } from "/static/dom.js";
import { showError } from "/static/toast.js";

const QUALITY = 0.8;
const RETRY_MS = 1500;
const REFUSED = 4000;
const FAULTS = {
  NotAllowedError: "the browser may not use its camera; allow it beside the page's address",
  NotFoundError: "this browser finds no camera",
  NotReadableError: "another program uses the camera",
};

const token = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const video = document.createElement("video");
const canvas = document.createElement("canvas");
video.muted = true;
video.playsInline = true;

let asked = { who: null, size: [640, 480] };
let stream = null;
let socket = null;
let awake = null;

const canGive = () => Boolean(navigator.mediaDevices?.getUserMedia);

function show() {
  const button = byId("give-camera");
  byId("sender-line").hidden = false;
  button.disabled = !stream && !canGive();
  write(button, stream ? "Stop this camera" : "Use this browser’s camera");
  write(byId("sender"), sender());
}

function sender() {
  if (stream) return "This browser gives the picture";
  if (asked.who !== null) return `Picture from ${asked.who}`;
  return canGive() ? "No browser gives its camera" : "No camera: this browser gives its own to pages over HTTPS and to its own machine only";
}

async function start() {
  const [width, height] = asked.size;
  const wanted = { width: { ideal: width }, height: { ideal: height }, facingMode: { ideal: "environment" } };
  try {
    const opened = await navigator.mediaDevices.getUserMedia({ video: wanted });
    if (stream) return opened.getTracks().forEach((track) => track.stop());
    stream = opened;
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    stop();
    return showError(new Error(FAULTS[error.name] ?? error.message));
  }
  stream.getVideoTracks()[0].addEventListener("ended", () => stop());
  stayAwake();
  open();
  show();
}

// A hidden page loses its lock.
async function stayAwake() {
  if (!stream || document.hidden) return;
  const lock = await navigator.wakeLock?.request("screen").catch(() => null);
  stream ? (awake = lock) : lock?.release();
}

function open() {
  const opened = new WebSocket(`${location.origin.replace("http", "ws")}/camera`);
  opened.onopen = () => opened.send(JSON.stringify({ token }));
  opened.onmessage = () => send(opened);
  opened.onclose = ({ code, reason }) => closed(opened, code, reason);
  socket = opened;
}

function closed(which, code, reason) {
  if (which !== socket) return;
  socket = null;
  if (code === REFUSED) {
    stop();
    showError(new Error(reason));
  } else if (stream) {
    setTimeout(() => stream && !socket && open(), RETRY_MS);
  }
}

// Drawn when asked for, so never old.
function send(to) {
  const scale = Math.min(1, Math.max(...asked.size) / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((jpeg) => jpeg && to.readyState === WebSocket.OPEN && to.send(jpeg), "image/jpeg", QUALITY);
}

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  video.srcObject = null;
  awake?.release();
  awake = null;
  const last = socket;
  socket = null;
  last?.close();
  show();
}

export function startSender() {
  connection.on("sender", (message) => ((asked = message), show()));
  byId("give-camera").addEventListener("click", () => (stream ? stop() : start()));
  document.addEventListener("visibilitychange", stayAwake);
}
