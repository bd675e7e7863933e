"""Notify the service manager of readiness, status and progress (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from threading import Lock

from edge_daemon.board.digits import read_digits

WATCHDOG_PERIOD_S = 0.5
"""Shortest time between two watchdog messages."""

_MAX_UNSENT = 8
_MAX_STATUS_CHARACTERS = 1000


class Notifier:
    """Sends state to `$NOTIFY_SOCKET`; does nothing when there is none.

    No call blocks or raises. A state that can't be sent, because the manager does not read its socket or no
    descriptor is free, is queued and sent before the next message. `now` is the monotonic clock. Any thread
    may call.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, now: Callable[[], float] = time.monotonic
    ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        usec = read_digits(environment.get("WATCHDOG_USEC", ""))
        self.watchdog_s = usec / 1e6 if usec else None
        """Longest time between two signs of progress, in seconds; None without a watchdog."""
        self._now = now
        self._watchdog_sent_s = float("-inf")
        self._lock = Lock()  # a reload reports from its own thread
        self._unsent: deque[str] = deque(maxlen=_MAX_UNSENT)
        self._channel = _open() if address else None

    def ready(self, status: str) -> None:
        """Report that the service is ready."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """Report the service's activity in one line."""
        self._send(f"STATUS={_one_line(status)}")

    def watchdog(self) -> None:
        """Report progress; calls within WATCHDOG_PERIOD_S of the last message only read the clock."""
        now_s = self._now()
        if now_s - self._watchdog_sent_s < WATCHDOG_PERIOD_S:
            return
        with self._lock:
            if self._flush() and self._try("WATCHDOG=1"):
                self._watchdog_sent_s = now_s

    def reloading(self, now_s: float) -> None:
        """Report that the configuration is being read again; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(now_s * 1e6)}")

    def reload_ended(self) -> None:
        """Report that the reload ended without a change."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Report that the service is about to end."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with self._lock:
            if "STATUS=" in text and self._unsent and self._unsent[-1].startswith("STATUS="):
                self._unsent.pop()  # outdated
            self._unsent.append(text)
            self._flush()

    def _flush(self) -> bool:
        """Send the queued messages in order; return False if some remain."""
        while self._unsent and self._try(self._unsent[0]):
            self._unsent.popleft()
        return not self._unsent

    def _try(self, text: str) -> bool:
        """Send a datagram without waiting; return whether it was sent."""
        if not self._address:
            return False
        # One socket for all messages: at the limit of open files a new one could not be made.
        self._channel = self._channel or _open()
        if self._channel is None:
            return False
        try:
            self._channel.sendto(text.encode(errors="replace"), self._address)
        except OSError:
            return False
        return True


def _open() -> socket.socket | None:
    try:
        return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    except OSError:
        return None


def _one_line(status: str) -> str:
    """Return the text as one line, which can't hold further assignments and fits into a datagram."""
    return " ".join(status.split())[:_MAX_STATUS_CHARACTERS]
