"""A network camera over HTTP: MJPEG and single pictures, with misbehaviour by path."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import PIL.Image

from tests.harness.local_server import local_server

USER, PASSWORD = "us@er", "p:w/#%"
_NONCE = "a1b2c3"


def jpeg(colour: str, size: tuple[int, int] = (64, 48)) -> bytes:
    """Return a picture in one colour."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


CHALLENGES = (
    'Digest realm="camera", nonce=',
    'Digest realm="camera", nonce="1", algorithm=X',
    "Digest realm",
    "Digest",
    " ",
)
"""Faulty values of WWW-Authenticate, at /challenge/0 and so on."""


@dataclass
class HttpCamera:
    """The pictures in view, and the paths and `Authorization` headers of the requests so far.

    `/mjpeg/KIND` sends `pictures` again and again; KIND is plain, unsized (without lengths), dashed (with
    dashes in the header's boundary), chunked, damaged (each second picture is cut off), ends, stalls, huge,
    headless or unbounded. `/picture` sends the first of `pictures`, `/untyped` without its type; `/basic` and
    `/digest` ask for a password first.
    """

    pictures: list[bytes] = field(default_factory=lambda: [jpeg("red")])
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""
    ended: threading.Event = field(default_factory=threading.Event)
    period_s: float = 0.02
    away: str = "ftp://127.0.0.1/x"
    """Target of the redirect of `/away`."""


@contextmanager
def http_camera(camera: HttpCamera) -> Iterator[HttpCamera]:
    """Serve the camera at its `address`."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        camera.requests.append((handler.path, handler.headers.get("Authorization")))
        handler.close_connection = True
        _answer(handler, camera)

    with local_server(answer, protocol="HTTP/1.1") as camera.address:
        try:
            yield camera
        finally:
            camera.ended.set()


def _answer(handler: BaseHTTPRequestHandler, camera: HttpCamera) -> None:
    path = handler.path.split("?")[0]
    guard, _, rest = path.strip("/").partition("/")
    if guard in ("basic", "digest") and not _is_allowed(handler, guard):
        challenge = {
            "basic": 'Basic realm="camera"',
            "digest": f'Digest realm="camera", nonce="{_NONCE}", qop="auth", algorithm=MD5',
        }[guard]
        _send(handler, 401, b"", {"WWW-Authenticate": challenge})
        return
    path = f"/{rest}" if guard in ("basic", "digest") else path
    if path.startswith("/mjpeg/"):
        _send_mjpeg(handler, camera, path.removeprefix("/mjpeg/"))
    elif path == "/picture":
        _send(handler, 200, camera.pictures[0], {"Content-Type": "image/jpeg"})
    elif path == "/untyped":
        _send(handler, 200, camera.pictures[0], {})
    elif path == "/cut":
        handler.send_response(200)
        handler.send_header("Content-Type", "image/jpeg")
        handler.send_header("Content-Length", str(len(camera.pictures[0])))
        handler.end_headers()
        handler.wfile.write(camera.pictures[0][:-200])
    elif path == "/moved":
        _send(handler, 302, b"", {"Location": "/picture"})
    elif path == "/away":
        _send(handler, 302, b"", {"Location": camera.away})
    elif path == "/loop":
        _send(handler, 302, b"", {"Location": "/loop"})
    elif path == "/page":
        _send(handler, 200, b"<title>Camera</title>", {"Content-Type": "text/html"})
    elif path == "/bytes":
        _send(handler, 200, b"no picture", {"Content-Type": "application/octet-stream"})
    elif path == "/strange":
        _send(handler, 401, b"", {"WWW-Authenticate": 'Bearer realm="camera"'})
    elif path.startswith("/challenge/"):
        _send(handler, 401, b"", {"WWW-Authenticate": CHALLENGES[int(path[-1])]})
    elif path == "/heads":
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not camera.ended.is_set():
            handler.wfile.write(b"X-Head: and so on\r\n" * 100)
    elif path == "/endless":
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff")
        while not camera.ended.is_set():
            handler.wfile.write(bytes(1 << 20))
    elif path == "/garbage":
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    elif path == "/silent":
        camera.ended.wait(60)
    elif path.strip("/").isdigit():
        _send(handler, int(path.strip("/")), b"", {})
    else:
        _send(handler, 404, b"", {})


def _is_allowed(handler: BaseHTTPRequestHandler, guard: str) -> bool:
    given = handler.headers.get("Authorization", "")
    if guard == "basic":
        return given == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    words = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
    first = hashlib.md5(f"{USER}:camera:{PASSWORD}".encode()).hexdigest()
    second = hashlib.md5(f"GET:{handler.path}".encode()).hexdigest()
    text = f"{first}:{_NONCE}:{words.get('nc')}:{words.get('cnonce')}:auth:{second}"
    return words.get("response") == hashlib.md5(text.encode()).hexdigest()


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def _send_mjpeg(handler: BaseHTTPRequestHandler, camera: HttpCamera, kind: str) -> None:
    boundary = {"dashed": "--cut here", "unbounded": ""}.get(kind, "cut")
    mark = b"--" + (boundary.lstrip("-") or "cut").encode()
    handler.send_response(200)
    parameter = f'; boundary="{boundary}"' if boundary else ""
    handler.send_header("Content-Type", f"multipart/x-mixed-replace{parameter}")
    if kind == "chunked":
        handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()

    def write(content: bytes) -> None:
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(content), content) if kind == "chunked" else content)

    number = 0
    while not camera.ended.wait(camera.period_s):
        picture = camera.pictures[number % len(camera.pictures)]
        if kind == "damaged" and number % 2:
            picture = picture[:-200]
        length = b"" if kind == "unsized" else b"Content-Length: %d\r\n" % len(picture)
        if kind == "huge":
            length = b"Content-Length: 999999999\r\n"
        head = mark + b"\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n"
        if kind == "headless":
            head = mark + b"\r\n" + b"X-Part: and so on\r\n" * 2000
        write(head + picture + b"\r\n")
        number += 1
        if kind == "ends" and number == 2:
            return
        if kind == "stalls" and number == 2:
            camera.ended.wait(60)
