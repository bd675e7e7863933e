"""Security middleware: host, origin, size, session and headers of every request."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

import msgspec

from edge_daemon.board.digits import read_digits
from edge_daemon.web.auth import COOKIE, TOKEN_SOURCES, Sessions

MAX_BODY_BYTES = 16_384
FILE_BYTES = {"/api/picture": 16 << 20, "/api/archive": 1 << 20}
"""Largest body of the paths that take a file, or a piece of one, instead of JSON."""
MAX_HEAD_BYTES = 16_384
DRAIN_S = 5.0
"""Longest time that the rest of a body above its limit is read and dropped."""
OWN_HEADER = "x-edge-daemon"
"""Sent by the page's own scripts with every change; another site's script needs a CORS preflight for it."""

_PROXY_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_OPEN_PATHS = ("/", "/healthz", "/api/session", "/api/login")
_SAFE_METHODS = ("GET", "HEAD")
_SAME_SITE = ("same-origin", "none")

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of a request. Header names are lower case; `is_websocket` marks a websocket's handshake.

    `address` is the client's, or the proxy's if the proxy does not name the client.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    is_websocket: bool = False
    address: str = ""


@dataclass(frozen=True, slots=True)
class RequestRefusal:
    """An HTTP status and an error text with the remedy."""

    status: int
    error: str


class AllowedHosts:
    """The permitted values of the Host header.

    Every IP address is permitted. DNS rebinding points a host name of another site at this device; it can't
    do so with an address.
    """

    def __init__(self, further: Collection[str] = (), own: str | None = None) -> None:
        name = (own or socket.gethostname()).lower()
        short = name.split(".")[0]
        self._names = {"localhost", name, f"{short}.local", *(each.lower() for each in further)}

    def allows(self, header: str) -> bool:
        """Return whether a Host header such as `edge.local:8080` or `[::1]` names this device."""
        host = _without_port(header.lower())
        if host is None:
            return False
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host in self._names
        return True


def _without_port(header: str) -> str | None:
    if header.startswith("["):
        host, bracket, port = header[1:].partition("]")
        is_valid = bracket and (not port or (port[0] == ":" and _is_port(port[1:])))
    else:
        host, colon, port = header.partition(":")
        is_valid = not colon or _is_port(port)
    return host if is_valid else None


def _is_port(text: str) -> bool:
    return read_digits(text, 5) is not None


class RequestPolicy:
    """Checks request heads. `proxied` means that a reverse proxy's name is configured. Pure."""

    def __init__(self, hosts: AllowedHosts, sessions: Sessions, *, proxied: bool = False) -> None:
        self._hosts = hosts
        self._sessions = sessions
        self._proxied = proxied

    def check(self, head: RequestHead) -> RequestRefusal | None:
        """Return why a request is refused, or None when it is permitted."""
        return (
            self._check_host(head)
            or self._check_proxy(head)
            or _check_origin(head)
            or _check_size(head)
            or self._check_session(head)
        )

    def _check_host(self, head: RequestHead) -> RequestRefusal | None:
        host = head.headers.get("host", "")
        if self._hosts.allows(host):
            return None
        return RequestRefusal(421, f"this device is not called {host[:80]!r}; add the name to web.hosts")

    def _check_proxy(self, head: RequestHead) -> RequestRefusal | None:
        """Refuse requests that may have come through a proxy, from any machine, if no token is set."""
        if self._sessions.is_required or head.path == "/healthz":
            return None
        if self._proxied or any(name in head.headers for name in _PROXY_HEADERS):
            return RequestRefusal(403, f"a page behind a proxy needs a token; {TOKEN_SOURCES}")
        return None

    def _check_session(self, head: RequestHead) -> RequestRefusal | None:
        if head.path in _OPEN_PATHS or head.path.startswith("/static/"):
            return None
        headers = head.headers
        if self._sessions.is_authorized(session_cookie(headers), headers.get("authorization"), head.address):
            return None
        return RequestRefusal(401, "enter the token first")


def session_cookie(headers: Mapping[str, str]) -> str | None:
    """Return the value of the session cookie in a request's headers."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return None
    return cookies[COOKIE].value if COOKIE in cookies else None


def _check_origin(head: RequestHead) -> RequestRefusal | None:
    """Refuse requests of another site's page, and changes that the page's own scripts did not send."""
    headers = head.headers
    origin = headers.get("origin")
    is_foreign = origin is not None and origin.partition("://")[2] != headers.get("host")
    site = headers.get("sec-fetch-site", "none")
    is_link = headers.get("sec-fetch-mode") == "navigate" and head.method in _SAFE_METHODS
    if is_foreign or (site not in _SAME_SITE and not is_link):
        return RequestRefusal(403, "requests from another site are refused")
    if head.is_websocket or head.method in _SAFE_METHODS:
        return None
    if OWN_HEADER not in headers:
        return RequestRefusal(403, f"a change needs the header {OWN_HEADER}: 1")
    kind = "application/octet-stream" if head.path in FILE_BYTES else "application/json"
    if headers.get("content-type", "").partition(";")[0].strip() != kind:
        return RequestRefusal(415, f"a change is sent as {kind}")
    return None


def _check_size(head: RequestHead) -> RequestRefusal | None:
    if sum(len(name) + len(value) for name, value in head.headers.items()) > MAX_HEAD_BYTES:
        return RequestRefusal(431, f"the headers have more than {MAX_HEAD_BYTES} bytes")
    length = read_digits(head.headers.get("content-length", "0"))
    if length is None:
        return RequestRefusal(400, "content-length is not a number")
    limit = FILE_BYTES.get(head.path, MAX_BODY_BYTES)
    if length > limit:
        return RequestRefusal(413, f"{length} bytes; a request has at most {limit}")
    return None


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_CAMERA_HEADERS = {"permissions-policy": "camera=(self), geolocation=(), microphone=()"}
"""For a page that may ask for the browser's camera."""


class SecurityMiddleware:
    """ASGI middleware: refuses requests by a policy and adds the security headers to every response.

    With `gives_camera` the page may use the browser's camera.
    """

    def __init__(self, app: App, policy: RequestPolicy, *, gives_camera: bool = False) -> None:
        headers = SECURITY_HEADERS | (_CAMERA_HEADERS if gives_camera else {})
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        is_websocket = scope["type"] == "websocket"
        refusal = self._policy.check(_request_head(scope, is_websocket))

        async def send_secured(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        if refusal is None:
            await self._app(scope, receive, send_secured)
        elif is_websocket:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.error})
        else:
            await _refuse(refusal, receive, send_secured)


def _request_head(scope: Scope, is_websocket: bool) -> RequestHead:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    address = (scope["client"] or ("", 0))[0]
    return RequestHead(scope.get("method", "GET"), scope["path"], headers, is_websocket, address)


async def _refuse(refusal: RequestRefusal, receive: Receive, send: Send) -> None:
    body = msgspec.json.encode({"error": refusal.error})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.status == 413:
        headers.append((b"connection", b"close"))
        await _drain(receive)
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _drain(receive: Receive) -> None:
    """Read a body to its end for a while: a connection that is closed before loses the response, too."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while (await receive()).get("more_body"):
                pass
