"""The queue of fleet messages between the network thread and the pipeline thread."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_daemon.fleet.records import FleetMessage, RejectionReason

MAX_QUEUED = 512
MAX_QUEUED_BYTES = 16_000_000
"""Memory limit for the queued embeddings: 120 chunks of the usual length."""

_MAX_HASHES = 8192


class ReceiveQueue:
    """Holds messages in order of arrival and counts rejected records. All methods are for any thread.

    The queue holds at most `max_queued` messages with `max_bytes` bytes of embeddings. When it is full the
    overflow is recorded, and the retained messages are requested again later. A payload hash identifies the
    last payload of each topic; unchanged messages, as after a reconnect, are skipped. `connections` is the
    number of connections so far; `is_present` refers to the current one.
    """

    def __init__(self, max_queued: int = MAX_QUEUED, max_bytes: int = MAX_QUEUED_BYTES) -> None:
        self._lock = Lock()
        self._max_queued = max_queued
        self._max_bytes = max_bytes
        self._bytes = 0
        self._present: set[str] = set()
        self._connections = 0
        self._messages: deque[FleetMessage] = deque()
        self._rejected: Counter[str] = Counter()
        self._payload_hashes: OrderedDict[str, int] = OrderedDict()
        self._overflowed = False

    def is_unchanged(self, topic: str, payload_hash: int) -> bool:
        """Return whether the last message of the topic had this payload."""
        with self._lock:
            return self._payload_hashes.get(topic) == payload_hash

    def put(self, topic: str, message: FleetMessage, payload_hash: int) -> None:
        """Append a message that was received at a topic."""
        with self._lock:
            size = _embedding_bytes(message)
            full = len(self._messages) >= self._max_queued or self._bytes + size > self._max_bytes
            if full and self._messages:  # a single message above the limit still passes
                self._overflowed = True
                return
            self._bytes += size
            self._messages.append(message)
            self._payload_hashes[topic] = payload_hash
            if len(self._payload_hashes) > _MAX_HASHES:
                self._payload_hashes.popitem(last=False)

    def pop(self) -> FleetMessage | None:
        """Remove and return the oldest message; None if the queue is empty."""
        with self._lock:
            if not self._messages:
                return None
            message = self._messages.popleft()
            self._bytes -= _embedding_bytes(message)
            return message

    def connected(self) -> None:
        """Start a connection: a device is present once a message of it was received."""
        with self._lock:
            self._connections += 1
            self._present.clear()

    def mark_present(self, device: str) -> None:
        """Record that the broker holds a valid message of this device."""
        with self._lock:
            if len(self._present) < _MAX_HASHES:
                self._present.add(device)

    def mark_absent(self, device: str) -> None:
        """Record that the device's live set was removed from the broker."""
        with self._lock:
            self._present.discard(device)

    def is_present(self, device: str) -> bool:
        """Return whether a message of that device was received over this connection."""
        with self._lock:
            return device in self._present

    @property
    def connections(self) -> int:
        """Number of connections so far."""
        with self._lock:
            return self._connections

    def count_rejection(self, reason: RejectionReason) -> None:
        """Count a rejected record."""
        with self._lock:
            self._rejected[reason] += 1

    @property
    def rejected(self) -> Mapping[str, int]:
        """Number of rejected records by reason."""
        with self._lock:
            return dict(self._rejected)

    def mark_overflow(self) -> None:
        """Record that messages were lost, so that all retained messages are requested again."""
        with self._lock:
            self._overflowed = True
            self._payload_hashes.clear()

    def clear_payload_hashes(self) -> None:
        """Process every message in full when it is received again."""
        with self._lock:
            self._payload_hashes.clear()

    def pop_overflow(self) -> bool:
        """Return once whether messages were lost, as soon as the queue has room for them."""
        with self._lock:
            overflowed = self._overflowed and not self._messages
            self._overflowed = self._overflowed and not overflowed
            return overflowed


def _embedding_bytes(message: FleetMessage) -> int:
    return sum(example.embedding.nbytes for example in message.examples)
