"""What every request must pass before anything looks at it. Pure: headers in, a verdict out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

import msgspec

from edge_daemon.web.auth import COOKIE, Sessions
from edge_daemon.web.host_names import HostNames
from edge_daemon.web.token import TOKEN_SOURCES

MAX_BODY_BYTES = 16_384
MAX_HEAD_BYTES = 16_384
OWN_HEADER = "x-edge-daemon"
"""Sent by the page's own scripts with every change; another site can't without being asked first."""

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
    """A request's head. Header names are lower case; `socket` marks a websocket's handshake.

    `address` is the client's, a proxy's when that doesn't name it.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    socket: bool = False
    address: str = ""


@dataclass(frozen=True, slots=True)
class RequestRefusal:
    """An HTTP status and what to do about it."""

    status: int
    error: str


class RequestPolicy:
    """Lets a request pass, or says why not. `proxied` means that a reverse proxy's name is configured."""

    def __init__(self, names: HostNames, sessions: Sessions, *, proxied: bool = False) -> None:
        self._names = names
        self._sessions = sessions
        self._proxied = proxied

    def judge(self, knock: RequestHead) -> RequestRefusal | None:
        """Return why a request is refused, None when it may pass."""
        return (
            self._place(knock) or self._proxy(knock) or _origin(knock) or _size(knock) or self._session(knock)
        )

    def _place(self, knock: RequestHead) -> RequestRefusal | None:
        host = knock.headers.get("host", "")
        if self._names.knows(host):
            return None
        return RequestRefusal(421, f"this device is not called {host[:80]!r}; add the name to web.hosts")

    def _proxy(self, knock: RequestHead) -> RequestRefusal | None:
        """Refuse what may come through a proxy, thus from anywhere, while there is no token."""
        if self._sessions.needed or knock.path == "/healthz":
            return None
        if self._proxied or any(name in knock.headers for name in _PROXY_HEADERS):
            return RequestRefusal(403, f"a page behind a proxy needs a token; {TOKEN_SOURCES}")
        return None

    def _session(self, knock: RequestHead) -> RequestRefusal | None:
        if knock.path in _OPEN_PATHS or knock.path.startswith("/static/"):
            return None
        headers = knock.headers
        if self._sessions.knows(session_cookie(headers), headers.get("authorization"), knock.address):
            return None
        return RequestRefusal(401, "enter the token first")


def session_cookie(headers: Mapping[str, str]) -> str | None:
    """Return the session's cookie from a request's headers."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return None
    return cookies[COOKIE].value if COOKIE in cookies else None


def _origin(knock: RequestHead) -> RequestRefusal | None:
    """Refuse what another site's page sends, and changes that our own page didn't make."""
    headers = knock.headers
    origin = headers.get("origin")
    foreign = origin is not None and origin.partition("://")[2] != headers.get("host")
    site = headers.get("sec-fetch-site", "none")
    visit = headers.get("sec-fetch-mode") == "navigate" and knock.method in _SAFE_METHODS
    if foreign or (site not in _SAME_SITE and not visit):
        return RequestRefusal(403, "requests from another site are refused")
    if knock.socket or knock.method in _SAFE_METHODS:
        return None
    if OWN_HEADER not in headers:
        return RequestRefusal(403, f"a change needs the header {OWN_HEADER}: 1")
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return RequestRefusal(415, "a change is sent as application/json")
    return None


def _size(knock: RequestHead) -> RequestRefusal | None:
    if sum(len(name) + len(value) for name, value in knock.headers.items()) > MAX_HEAD_BYTES:
        return RequestRefusal(431, f"the headers have more than {MAX_HEAD_BYTES} bytes")
    length = knock.headers.get("content-length", "0")
    if not length.isdigit():
        return RequestRefusal(400, "content-length is no number")
    if int(length) > MAX_BODY_BYTES:
        return RequestRefusal(413, f"{length} bytes; a request has at most {MAX_BODY_BYTES}")
    return None


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SECURITY = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class SecurityMiddleware:
    """Turns away what the guard refuses and adds the security headers to every response."""

    def __init__(self, app: App, guard: RequestPolicy) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        socket = scope["type"] == "websocket"
        refusal = self._guard.judge(_knock(scope, socket))

        async def send_secured(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_SECURITY]
            await send(message)

        if refusal is None:
            await self._app(scope, receive, send_secured)
        elif socket:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.error})
        else:
            await _refuse(refusal, send_secured)


def _knock(scope: Scope, socket: bool) -> RequestHead:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return RequestHead(
        scope.get("method", "GET"), scope["path"], headers, socket, (scope["client"] or ("", 0))[0]
    )


async def _refuse(refusal: RequestRefusal, send: Send) -> None:
    body = msgspec.json.encode({"error": refusal.error})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.status == 413:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
