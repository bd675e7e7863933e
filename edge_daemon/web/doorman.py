"""The guard's verdicts as ASGI: stands before the application, for requests and websockets alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from edge_daemon.web.guard import SECURITY_HEADERS, Guard, Knock, Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SECURITY = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class Doorman:
    """Turns away what the guard refuses and adds the security headers to every response."""

    def __init__(self, app: App, guard: Guard) -> None:
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


def _knock(scope: Scope, socket: bool) -> Knock:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Knock(scope.get("method", "GET"), scope["path"], headers, socket, (scope["client"] or ("", 0))[0])


async def _refuse(refusal: Refusal, send: Send) -> None:
    body = msgspec.json.encode({"error": refusal.error})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.status == 413:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
