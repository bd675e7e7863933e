"""A wake-up for a thread that waits for sockets."""

from __future__ import annotations

import socket

_READ_BYTES = 4096


class Wakeup:
    """A socket that becomes readable when another thread calls `set`; `set` never blocks."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._reader.fileno()

    def set(self) -> None:
        """Wake the waiting thread, or end its next wait at once. Harmless after `close`."""
        try:
            self._writer.send(b"\0")
        except (BlockingIOError, OSError):
            return  # a full pipe wakes as well; after `close` no thread waits

    def clear(self) -> None:
        """Discard every `set` so far."""
        try:
            while len(self._reader.recv(_READ_BYTES)) == _READ_BYTES:
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Release both ends."""
        self._reader.close()
        self._writer.close()
