"""Opens the socket to a broker, encrypted if configured. Every wait ends soon after it is cancelled."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

CONNECT_S = 5.0
"""Time limit of each address of the host, and of the TLS handshake."""

TICK_S = 0.1
"""Interval at which a wait asks whether it is cancelled."""

Cancelled = Callable[[], bool]
_Address = tuple[int, int, int, str, Any]
"""Family, kind and protocol of a socket, the canonical name, and the address."""


def open_socket(
    host: str, port: int, tls: ssl.SSLContext | None, cancelled: Cancelled
) -> socket.socket | ssl.SSLSocket:
    """Return a non-blocking socket to the first address of `host` that answers, without Nagle's delay.

    Ends soon after `cancelled` returns True, with TimeoutError. Raises OSError, and ValueError for a host
    that is no name.
    """
    failures: list[OSError] = []
    for family, kind, protocol, _, address in _resolve(host, port, cancelled):
        try:
            sock = _connect(socket.socket(family, kind, protocol), address, cancelled)
        except OSError as exc:
            failures.append(exc)
        else:
            return sock if tls is None else _encrypt(sock, host, tls, cancelled)
    raise failures[0]


def _resolve(host: str, port: int, cancelled: Cancelled) -> Sequence[_Address]:
    """Return the addresses of a host. A thread asks for them: the system's wait can't be ended."""
    answers: list[Sequence[_Address] | Exception] = []
    known = threading.Event()

    def ask() -> None:
        try:
            answers.append(socket.getaddrinfo(_encoded(host), port, 0, socket.SOCK_STREAM))
        except Exception as exc:
            answers.append(exc)
        known.set()

    threading.Thread(target=ask, name="mqtt-name", daemon=True).start()
    while not known.wait(TICK_S):
        if cancelled():
            raise TimeoutError(errno.ETIMEDOUT, "the name server did not answer")
    if isinstance(answers[0], Exception):
        raise answers[0]
    return answers[0]


def _encoded(host: str) -> str | bytes:
    """Return an ASCII name as bytes: for text Python loads its codec of international names, 0.4 MB."""
    is_plain = host.isascii() and all(0 < len(part) < 64 for part in host.split("."))
    return host.encode() if is_plain else host


def _connect(sock: socket.socket, address: object, cancelled: Cancelled) -> socket.socket:
    """Return the socket once it is connected. Without Nagle's algorithm no message waits for the last one."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        code = sock.connect_ex(address)  # type: ignore[arg-type]
        if code == errno.EINPROGRESS:
            _wait(sock, select.POLLOUT, time.monotonic() + CONNECT_S, cancelled, "timed out")
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def _encrypt(sock: socket.socket, host: str, tls: ssl.SSLContext, cancelled: Cancelled) -> ssl.SSLSocket:
    """Return the socket after the TLS handshake."""
    import ssl  # late: most brokers in a house have no TLS

    encrypted = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    deadline, late = time.monotonic() + CONNECT_S, "the TLS handshake timed out"
    try:
        while True:
            try:
                encrypted.do_handshake()
            except ssl.SSLWantReadError:
                _wait(encrypted, select.POLLIN, deadline, cancelled, late)
            except ssl.SSLWantWriteError:
                _wait(encrypted, select.POLLOUT, deadline, cancelled, late)
            else:
                return encrypted
    except BaseException:
        encrypted.close()
        raise


def _wait(sock: socket.socket, event: int, deadline: float, cancelled: Cancelled, late: str) -> None:
    """Return when the socket is ready. Raises TimeoutError with the text `late` if cancelled or too late."""
    poller = select.poll()
    poller.register(sock, event)
    while not poller.poll(TICK_S * 1000):
        if cancelled() or time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, late)
