"""A web server of several files, over http or https, with misbehaviour by file."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.harness.local_server import local_server
from tests.harness.mosquitto import Certificates


@dataclass
class WebSite:
    """Files by name, in the folder `address`. Each request of a file uses its next behaviour, else `serve`.

    Behaviours: `serve` (with ETag, ranges and If-Range), `untagged` (without ETag), `chunked` (without a
    length), `drop N` (hangs up after N bytes), `stall N` (sends nothing more after N bytes), `page` (HTML),
    `packed` (claims gzip), `to ADDRESS` (redirects there), or a status code.
    """

    files: dict[str, bytes]
    behaviours: dict[str, list[str]] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path with query, and range, of each request."""
    address: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    def asked(self) -> list[str]:
        """Return the names of the files that were requested, in order."""
        return [path.split("?")[0].rsplit("/", 1)[-1] for path, _ in self.requests]


@contextmanager
def serving_site(site: WebSite, certificates: Certificates | None = None) -> Iterator[WebSite]:
    """Serve a site under the folder `/net/`; with `certificates` over https."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        site.requests.append((handler.path, handler.headers.get("Range")))
        _answer(handler, site)

    with local_server(answer, certificates) as address:
        site.address = f"{address}/net"
        try:
            yield site
        finally:
            site.released.set()


def _answer(handler: BaseHTTPRequestHandler, site: WebSite) -> None:
    name = handler.path.split("?")[0].rsplit("/", 1)[-1]
    queue = site.behaviours.get(name, [])
    word, _, argument = (queue.pop(0) if queue else "serve").partition(" ")
    if word == "to":
        handler.send_response(302)
        handler.send_header("Location", argument)
        handler.end_headers()
    elif word.isdigit():
        handler.send_error(int(word))
    elif word == "page":
        _send_whole(handler, b"<!DOCTYPE html><title>Start</title>", {"Content-Type": "text/html"})
    elif name not in site.files:
        handler.send_error(404)
    elif word == "packed":
        _send_whole(handler, site.files[name], {"Content-Encoding": "gzip"})
    elif word == "chunked":
        _send_chunked(handler, site.files[name])
    else:
        limit = int(argument) if argument else None
        _send_range(handler, site, site.files[name], limit, tagged=word != "untagged", stalls=word == "stall")


def _send_whole(handler: BaseHTTPRequestHandler, body: bytes, headers: dict[str, str]) -> None:
    handler.send_response(200)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def _send_chunked(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    handler.close_connection = True


def _send_range(
    handler: BaseHTTPRequestHandler,
    site: WebSite,
    body: bytes,
    limit: int | None,
    *,
    tagged: bool,
    stalls: bool,
) -> None:
    """Send the range that was asked for if its version is still served, else all."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    asked = handler.headers.get("Range")
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
    start = start if handler.headers.get("If-Range", tag) == tag else 0
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    if tagged:
        handler.send_header("ETag", tag)
    handler.send_header("Content-Length", str(len(body) - start))
    handler.end_headers()
    handler.wfile.write(body[start:] if limit is None else body[start : start + limit])
    if stalls:
        handler.wfile.flush()
        site.released.wait(60)
