"""A network that fails on purpose, between a client and a broker."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from types import TracebackType
from typing import Self

_CHUNK = 65_536


class Proxy:
    """Passes bytes between clients and a port of 127.0.0.1, until it is set to cut, swallow or delay them."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._swallowing = False
        self._delay_s = 0.0
        self._forbidden: bytes | None = None
        self._refused = 0
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        self._thread.join()
        self.cut()
        self._server.close()

    def target_port(self) -> int:
        """Return the port for the next client."""
        return self._target_port

    def swallow(self, swallowing: bool) -> None:
        """Keep connections open and pass nothing on, as a network does that was cut silently."""
        self._swallowing = swallowing

    def delay(self, seconds: float) -> None:
        """Let every chunk wait."""
        self._delay_s = seconds

    def forbid(self, content: bytes) -> None:
        """Hang up on a client that sends these bytes."""
        self._forbidden = content

    def refuse(self, count: int) -> None:
        """Hang up on the next `count` clients at once, as a proxy does while the broker behind it starts."""
        self._refused = count

    def cut(self) -> None:
        """Break every connection there is."""
        for sock in list(self._pairs):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while not self._ending:
            readable, _, _ = select.select([self._server, *self._pairs], [], [], 0.02)
            for sock in readable:
                if sock is self._server:
                    self._accept()
                elif sock in self._pairs:
                    self._pass_on(sock)

    def _accept(self) -> None:
        client, _ = self._server.accept()
        if self._refused:
            self._refused -= 1
            client.close()
            return
        try:
            broker = socket.create_connection(("127.0.0.1", self.target_port()))
        except OSError:
            client.close()
            return
        self._pairs |= {client: broker, broker: client}
        self._clients.add(client)

    def _pass_on(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_CHUNK)
            time.sleep(self._delay_s)
            if self._forbidden is not None and self._forbidden in data:
                data = b""
            if data and not self._swallowing:
                self._pairs[sock].sendall(self._filter(sock, data))
        except OSError:
            data = b""
        if not data:
            self._close(sock)

    def _filter(self, sock: socket.socket, data: bytes) -> bytes:
        """Return what is passed on of the bytes that came from `sock`."""
        return data

    def _close(self, sock: socket.socket) -> None:
        other = self._pairs.pop(sock)
        self._clients -= {sock, other}
        del self._pairs[other]
        sock.close()
        other.close()
