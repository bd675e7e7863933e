"""A web server on a free local port with configurable misbehaviour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.harness.local_server import local_server


@dataclass
class Site:
    """Files and behaviours of the server. Each request uses the next behaviour; the last one is repeated.

    Behaviours: `serve` (with ranges), `whole` (ignores ranges), `drop N` (hangs up after N bytes of the
    body), `short N` (claims N bytes and sends as many), `long N` (claims N more than it has), `other`
    (as many wrong bytes), `extra N` (N bytes too many), `html`, `page` (HTML without saying so),
    `redirect`, `stale range` (answers another range than asked for), or a status code.
    """

    content: bytes
    behaviours: list[str] = field(default_factory=lambda: ["serve"])
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""

    def next(self) -> str:
        return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve a site; its `address` is the folder that every path lies in."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        site.requests.append((handler.path, handler.headers.get("Range")))
        _answer(handler, site, site.next())

    with local_server(answer) as address:
        site.address = f"{address}/files"
        yield site


def _answer(handler: BaseHTTPRequestHandler, site: Site, behaviour: str) -> None:
    word, _, argument = behaviour.partition(" ")
    number = int(argument) if argument.isdigit() else 0
    if word.isdigit():
        handler.send_error(int(word))
    elif word == "redirect":
        handler.send_response(302)
        handler.send_header("Location", "/moved/" + handler.path.rsplit("/", 1)[-1])
        handler.end_headers()
    elif word in ("html", "page"):
        body = b"<!DOCTYPE html><title>Please log in</title>"
        _send(
            handler, 200, body, len(body), kind="text/html" if word == "html" else "application/octet-stream"
        )
    elif word == "other":
        _send(handler, 200, bytes(len(site.content)), len(site.content))
    elif word == "extra":
        _send(handler, 200, site.content + bytes(number), len(site.content) + number)
    else:
        _serve_range(handler, site.content, word, number)


def _serve_range(handler: BaseHTTPRequestHandler, content: bytes, word: str, number: int) -> None:
    asked = handler.headers.get("Range")
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and word != "whole" else 0
    rest = content[start:]
    status, named = (206, start + 1 if word == "stale" else start) if start else (200, 0)
    length = {"short": number, "long": len(rest) + number}.get(word, len(rest))
    body = rest[:number] if word in ("drop", "short") else rest
    _send(handler, status, body, length, content_range=f"bytes {named}-{len(content) - 1}/{len(content)}")


def _send(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    length: int,
    kind: str = "application/octet-stream",
    content_range: str = "",
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(length))
    if status == 206:
        handler.send_header("Content-Range", content_range)
    handler.end_headers()
    handler.wfile.write(body)
