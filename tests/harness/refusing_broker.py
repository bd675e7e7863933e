"""A broker that refuses publications or subscriptions for a while, as a cluster without a majority does."""

from __future__ import annotations

import socket
import threading

from tests.harness.unreliable_proxy import Proxy

_PUBLISH, _SUBSCRIBE, _SUBACK = 3, 8, 0x90
_ANSWERS = {1: 0x40, 2: 0x50}
"""PUBACK and PUBREC, by QoS."""


class RefusingProxy(Proxy):
    """Answers PUBLISH of QoS 1 or 2 whose topic ends in `ending` with `reason` (MQTT 5), while there is one.

    So it does with SUBSCRIBE. All other packets pass. `refused` counts the answers.
    """

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self.refused = 0
        self._reason: int | None = None
        self._topic_ending = b""
        self._subscription_reason: int | None = None
        self._unread: dict[socket.socket, bytearray] = {}
        self._guard = threading.Lock()

    def refuse_publications(self, reason: int | None, ending: str = "") -> None:
        """Start to refuse, or stop with `reason` None."""
        with self._guard:
            self._reason, self._topic_ending = reason, ending.encode()

    def refuse_subscriptions(self, reason: int | None) -> None:
        """Start to refuse each subscription to one topic filter, or stop with `reason` None."""
        with self._guard:
            self._subscription_reason = reason

    def _filter(self, sock: socket.socket, data: bytes) -> bytes:
        if sock not in self._clients:
            return data
        unread = self._unread.setdefault(sock, bytearray())
        unread += data
        passed = bytearray()
        while (packet := _pop_packet(unread)) is not None:
            with self._guard:
                answer = self._answer(packet)
            if answer is None:
                passed += packet
            else:
                self.refused += 1
                sock.sendall(answer)
        return bytes(passed)

    def _answer(self, packet: bytes) -> bytes | None:
        if packet[0] >> 4 == _SUBSCRIBE and self._subscription_reason is not None:
            mid = packet[_body(packet) :][:2]
            return bytes((_SUBACK, 4)) + mid + bytes((0, self._subscription_reason))
        kind = _ANSWERS.get(packet[0] >> 1 & 0b11)
        if self._reason is None or packet[0] >> 4 != _PUBLISH or kind is None:
            return None
        start = _body(packet)
        length = int.from_bytes(packet[start : start + 2], "big")
        topic = packet[start + 2 : start + 2 + length]
        if not topic.endswith(self._topic_ending):
            return None
        mid = packet[start + 2 + length : start + 4 + length]
        return bytes((kind, 3)) + mid + bytes((self._reason,))


def _body(packet: bytes | bytearray) -> int:
    return next(place for place in range(1, 5) if not packet[place] & 0x80) + 1


def _pop_packet(unread: bytearray) -> bytes | None:
    """Remove and return the first whole packet."""
    length = 0
    for place in range(1, min(len(unread), 5)):
        length |= (unread[place] & 0x7F) << 7 * (place - 1)
        if not unread[place] & 0x80:
            end = place + 1 + length
            if len(unread) < end:
                return None
            packet = bytes(unread[:end])
            del unread[:end]
            return packet
    return None
