"""The page's listening socket, with a bound on open connections."""

from __future__ import annotations

import errno
import logging
import resource
import socket
from collections.abc import Callable
from typing import Any

from edge_daemon.board.network import link_fault
from edge_daemon.domain.errors import WebError

_FREEBIND = {socket.AF_INET: (socket.IPPROTO_IP, 15), socket.AF_INET6: (socket.IPPROTO_IPV6, 78)}
"""IP_FREEBIND and IPV6_FREEBIND of linux/in.h and in6.h: listen at an address that no interface has yet."""

_REMEDIES = {
    errno.EADDRNOTAVAIL: "write an address of this machine, or 0.0.0.0",
    errno.EAFNOSUPPORT: "IPv6 is off here, write 0.0.0.0 or an IPv4 address",
}

log = logging.getLogger(__name__)

RESERVED_DESCRIPTORS = 48
"""Descriptors below the process's limit that connections leave free for the camera, the broker's connection
and the store. Under a low limit it is a quarter of that limit."""

ACCEPTED_AT_ONCE = 16
"""A quarter of the open connections, so that `make_room` can close some of a burst in time."""

QUEUED = 1024
"""Length of the kernel's queue of connections that are not accepted yet."""

SEND_BUFFER_BYTES = 65_536
UNREAD_MS = 15_000
_WARN_EVERY_S = 60.0


class BoundedListener(socket.socket):
    """A listening socket that keeps at most `limit` connections open, and twice that during a burst.

    At the limit `make_room` closes one to admit the next; if it returns False, the next is closed at accept.
    `now` is the monotonic clock. Used from the event loop's thread alone. Raises WebError for an address
    that is not available.
    """

    def __init__(
        self, ip: str, port: int, *, limit: int, make_room: Callable[[], bool], now: Callable[[], float]
    ) -> None:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        super().__init__(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._limit = limit
        self._make_room = make_room
        self._now = now
        self._accepted: set[socket.socket] = set()
        self._warned_s = float("-inf")
        try:
            self._bind(ip, port)
        except OSError as exc:
            self.close()
            raise bind_error(ip, port, exc) from exc

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Raises ConnectionAbortedError, which the loop handles, above the limit."""
        channel, address = super().accept()
        # A closed socket's descriptor is -1.
        self._accepted = {each for each in self._accepted if each.fileno() >= 0}
        if _is_reserved(channel.fileno()) or not (len(self._accepted) < self._limit or self._make_room()):
            channel.close()
            self._warn()
            raise ConnectionAbortedError("too many connections")
        self._accepted.add(channel)
        return channel, address

    def listen(self, backlog: int = QUEUED) -> None:
        """Listen with a queue of at least QUEUED; asyncio also accepts `backlog` connections at once."""
        super().listen(max(backlog, QUEUED))

    def _bind(self, ip: str, port: int) -> None:
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Every connection inherits these: they bound the size and the age of unread data.
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        try:
            self.bind((ip, port))
        except OSError as exc:
            fault = network_fault(exc)
            if fault is None:
                raise
            # At boot the network can come up after the service, and labels must not wait for it.
            log.warning("web.listen %s: the page waits for the address: %s", _written(ip, port), fault)
            self.setsockopt(*_FREEBIND[self.family], 1)
            self.bind((ip, port))

    def _warn(self) -> None:
        now_s = self._now()
        if now_s - self._warned_s >= _WARN_EVERY_S:
            self._warned_s = now_s
            log.warning("the page has %d open connections; further ones are closed", len(self._accepted))


def network_fault(exc: OSError) -> str | None:
    """Return why no interface has the address of a failed bind yet; None if it failed otherwise."""
    return link_fault() if exc.errno == errno.EADDRNOTAVAIL else None


def bind_error(ip: str, port: int, exc: OSError) -> WebError:
    """Return the error of a failed bind, with its remedy."""
    remedy = _REMEDIES.get(exc.errno or 0, "pick another port")
    return WebError(f"web.listen {_written(ip, port)}: {exc.strerror}; {remedy}")


def _written(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _is_reserved(descriptor: int) -> bool:
    """Return whether a new descriptor is one of the last; the kernel assigns the lowest free number."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and descriptor >= soft - min(RESERVED_DESCRIPTORS, soft // 4)
