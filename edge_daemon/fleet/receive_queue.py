"""Between the thread that hears the fleet and the one that learns from it."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_daemon.fleet.messages import FleetMessage
    from edge_daemon.fleet.records import Reason

MAX_WAITING = 512
MAX_WAITING_BYTES = 16_000_000
"""Most memory for the embeddings that wait: 120 chunks of the usual length."""

_MAX_MARKS = 8192


class ReceiveQueue:
    """Holds parcels in the order they came, and counts what was refused. Any thread.

    It holds at most `max_waiting` parcels with embeddings of `max_bytes`. What finds no room is noted: all of
    it stands at the broker, and can be asked for again. `mark` tells one payload of a topic from another, so
    that what comes again unchanged, as after each connect, is no work. `connections` counts the connections,
    `is_present` names the devices that this one has brought messages of.
    """

    def __init__(self, max_waiting: int = MAX_WAITING, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._lock = Lock()
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._bytes = 0
        self._present: set[str] = set()
        self._connections = 0
        self._parcels: deque[FleetMessage] = deque()
        self._refused: Counter[str] = Counter()
        self._marks: OrderedDict[str, int] = OrderedDict()
        self._missed = False

    def has(self, topic: str, mark: int) -> bool:
        """Whether that very payload came last from the topic."""
        with self._lock:
            return self._marks.get(topic) == mark

    def put(self, topic: str, parcel: FleetMessage, mark: int) -> None:
        """Leave what came from a topic."""
        with self._lock:
            size = _size(parcel)
            full = len(self._parcels) >= self._max_waiting or self._bytes + size > self._max_bytes
            if full and self._parcels:  # a single parcel above the limit still passes
                self._missed = True
                return
            self._bytes += size
            self._parcels.append(parcel)
            self._marks[topic] = mark
            if len(self._marks) > _MAX_MARKS:
                self._marks.popitem(last=False)

    def take(self) -> FleetMessage | None:
        """Take the parcel that has waited longest."""
        with self._lock:
            if not self._parcels:
                return None
            parcel = self._parcels.popleft()
            self._bytes -= _size(parcel)
            return parcel

    def connected(self) -> None:
        """Begin a connection: no device is present until it brings a message of it."""
        with self._lock:
            self._connections += 1
            self._present.clear()

    def note_present(self, device: str) -> None:
        """Note that the broker holds a valid message of this device."""
        with self._lock:
            if len(self._present) < _MAX_MARKS:
                self._present.add(device)

    def note_absent(self, device: str) -> None:
        """Note that the device's roll was removed from the broker."""
        with self._lock:
            self._present.discard(device)

    def is_present(self, device: str) -> bool:
        """Whether this connection has brought a message of that device."""
        with self._lock:
            return device in self._present

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        with self._lock:
            return self._connections

    def refuse(self, reason: Reason) -> None:
        """Count a record that teaches nothing."""
        with self._lock:
            self._refused[reason] += 1

    @property
    def refused(self) -> Mapping[str, int]:
        """How many records were refused, by reason."""
        with self._lock:
            return dict(self._refused)

    def miss(self) -> None:
        """Note that something was taken and came to nothing: all must be asked for again."""
        with self._lock:
            self._missed = True
            self._marks.clear()

    def forget_marks(self) -> None:
        """Read every message in full when it comes again."""
        with self._lock:
            self._marks.clear()

    def take_missed(self) -> bool:
        """Whether something was lost and there is room for it now; told once."""
        with self._lock:
            missed = self._missed and not self._parcels
            self._missed = self._missed and not missed
            return missed


def _size(parcel: FleetMessage) -> int:
    return sum(example.embedding.nbytes for example in parcel.examples)
