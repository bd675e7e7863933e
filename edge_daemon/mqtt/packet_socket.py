"""A socket to a broker with a bound on the size of received packets."""

from __future__ import annotations

import ssl
from typing import Any

TOO_LARGE = 0x95
"""The MQTT 5 reason code "packet too large"."""

MIN_BOUND = 65_544
"""Bytes of the longest possible topic and a packet id: the minimum of a readable shortened packet."""

_PUBLISH, _PUBACK, _PUBREC = 0x30, 0x40, 0x50
_KIND = 0xF0
_FAILURES = 0x80
_IMPLEMENTATION_SPECIFIC = 0x83
_MAX_LENGTH_BYTES = 4
_DISCARD_BYTES = 65_536
_MAX_DISCARDS = 64


class PacketSocket:
    """Passes bytes on and shortens a PUBLISH of more than `bound` bytes to its first `bound` bytes.

    The rest is read and discarded, so that memory holds at most `bound` bytes of any publication. MQTT 3.1.1
    has no such limit to announce to the broker. `bound` None passes everything on.

    Brokers answer a message that is too long with a PUBACK of reason `TOO_LARGE`. paho treats that as a
    malformed packet and ends the connection. Therefore the packet id is added to `too_large`, and paho reads
    another reason. A PUBREC that refuses a message ends its delivery, as a PUBACK does (MQTT 5, 4.3.3), but
    paho ignores its reason and sends a PUBREL. Therefore paho reads a PUBACK. All other attributes are those
    of the socket: non-blocking, used by one thread.
    """

    def __init__(self, sock: Any, bound: int | None) -> None:
        self.too_large: set[int] = set()
        self.error: OSError | None = None
        self.first_byte: int | None = None
        self.send = sock.send  # an attribute, because `__getattr__` would cost a call per message
        self._sock = sock
        self._bound = None if bound is None else max(bound, MIN_BOUND)
        self._header = bytearray()
        self._head: bytearray | None = None
        self._kept = 0
        self._left = 0
        self._ready = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes, empty at the end. Raises as the socket does if there are none yet."""
        try:
            return self._recv(size)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as exc:  # paho only logs it
            self.error = exc
            raise

    def _recv(self, size: int) -> bytes:
        at_start = self._head is None and not self._ready and not self._left
        if at_start and not self._read_header():
            return b""
        if self._head is not None and not self._read_kept(self._head):
            return b""
        if self._ready:
            found = bytes(self._ready[:size])
            del self._ready[:size]
            return found
        found = self._sock.recv(min(size, self._left))
        self._left = self._left - len(found) if found else 0
        return bytes(found)

    def _read_header(self) -> bool:
        """Read a packet's kind and length; return False at the end of the connection."""
        while len(self._header) < 2 or self._header[-1] & 0x80:
            byte = self._sock.recv(1)
            if not byte:
                return False
            self.first_byte = byte[0] if self.first_byte is None else self.first_byte
            self._header += byte
            if len(self._header) > 1 + _MAX_LENGTH_BYTES:
                break  # no MQTT; paho ends the connection
        header, self._header = self._header, bytearray()
        self._left = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(header[1:]))
        kind = header[0] & _KIND
        if kind == _PUBLISH and self._bound is not None and self._left > self._bound:
            self._head, self._kept = bytearray((header[0],)) + _length(self._bound), self._bound
        elif kind in (_PUBACK, _PUBREC) and 3 <= self._left <= MIN_BOUND:
            self._head, self._kept = header, self._left
        else:
            self._ready = header
        return True

    def _read_kept(self, head: bytearray) -> bool:
        """Read the kept part of a packet, discard the rest; return False at the end of the connection."""
        for _ in range(_MAX_DISCARDS):
            if self._left == 0:
                self._head, self._ready = None, self._readable(head)
                return True
            found = self._sock.recv(min(self._left, _DISCARD_BYTES))
            if not found:
                self._head, self._left = None, 0
                return False
            self._left -= len(found)
            head += found[: self._kept]
            self._kept -= min(self._kept, len(found))
        raise BlockingIOError  # let other work run between the parts of a large packet

    def _readable(self, packet: bytearray) -> bytearray:
        """Return a packet that paho can read; record a rejection as too large."""
        if packet[0] & _KIND == _PUBLISH:
            return packet
        start = next(place for place, byte in enumerate(packet) if place and not byte & 0x80) + 1
        if packet[start + 2] == TOO_LARGE:
            self.too_large.add(int.from_bytes(packet[start : start + 2], "big"))
            packet[start + 2] = _IMPLEMENTATION_SPECIFIC
        if packet[start + 2] >= _FAILURES:
            packet[0] = _PUBACK
        return packet


def _length(count: int) -> bytes:
    """Encode a packet's remaining length."""
    encoded = bytearray()
    while True:
        count, digit = count >> 7, count & 0x7F
        encoded.append(digit | (0x80 if count else 0))
        if not count:
            return bytes(encoded)
