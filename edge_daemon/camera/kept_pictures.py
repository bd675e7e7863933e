"""Pictures that a stream's child process keeps encoded, so that its parent can load them at another scale.

The two have a connection beside the one of the latest pictures, since any thread of the parent may ask.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_daemon.camera.frames import MAX_PIXELS

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

MAX_KEPT = 8
"""Pictures kept: those that wait or are in the pipeline, the four that a press can refer to, and two more."""

TIMEOUT_S = 4.5
"""Longest wait for the child, after which it is asked no more."""

_REQUEST = struct.Struct("<QB")
"""Number of a picture, counted from 0, and the divisor of its sides."""

_REPLY = struct.Struct("<II")
"""Height and width; 0 and 0 for a picture that is kept no more."""


class KeptPictures:
    """The child's end. `decode` returns an encoded picture, RGB uint8 HWC, with its sides divided."""

    def __init__(self, decode: Callable[[bytes, int], Image]) -> None:
        self._decode = decode
        self._kept: dict[int, bytes] = {}
        self._next = 0

    def add(self, encoded: bytes) -> None:
        """Keep the next picture; the oldest one is dropped."""
        self._kept[self._next] = encoded
        self._next += 1
        self._kept.pop(self._next - 1 - MAX_KEPT, None)

    def serve(self, connection: socket.socket) -> None:
        """Answer requests until the parent closes the connection. Runs in a thread."""
        with connection, contextlib.suppress(OSError):
            while request := connection.recv(_REQUEST.size, socket.MSG_WAITALL):
                number, reduction = _REQUEST.unpack(request)
                encoded = self._kept.get(number)
                if encoded is None:
                    connection.sendall(_REPLY.pack(0, 0))
                    continue
                pixels = self._decode(encoded, reduction)
                connection.sendall(_REPLY.pack(*pixels.shape[:2]))
                connection.sendall(pixels.data.cast("B"))


class KeptPicturesClient:
    """The parent's end. Any thread may load pictures; close it when done."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(TIMEOUT_S)
        self._connection = connection
        self._lock = threading.Lock()
        self._is_open = True

    def load(self, number: int, reduction: int) -> Image | None:
        """Return a picture, RGB uint8 HWC, with its sides divided; None if the child has it no more."""
        with self._lock:
            if not self._is_open:
                return None
            try:
                self._connection.sendall(_REQUEST.pack(number, reduction))
                return self._receive()
            except (OSError, ValueError):
                self._is_open = False  # the rest of a late answer would be taken for the next one
                return None

    def close(self) -> None:
        """Close the connection, and end a load in another thread; no effect if it is closed."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._is_open = False
            self._connection.close()

    def _receive(self) -> Image | None:
        import numpy as np

        height, width = _REPLY.unpack(self._fill(bytearray(_REPLY.size)))
        if height * width == 0:
            return None
        if height * width > MAX_PIXELS:
            raise ValueError("no picture")
        pixels = np.empty((height, width, 3), np.uint8)
        self._fill(pixels.data.cast("B"))
        return pixels

    def _fill(self, buffer: bytearray | memoryview) -> bytearray | memoryview:
        view = memoryview(buffer)
        while view:
            count = self._connection.recv_into(view)
            if count == 0:
                raise ConnectionResetError
            view = view[count:]
        return buffer
