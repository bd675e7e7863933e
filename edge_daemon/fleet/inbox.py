"""Between the thread that hears the fleet and the one that learns from it."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_daemon.fleet.parcel import Parcel
    from edge_daemon.fleet.records import Reason

MAX_WAITING = 512
_MAX_MARKS = 8192


class Inbox:
    """Holds parcels in the order they came, at most 512, and counts what was refused. Any thread.

    What finds no room is noted: all of it stands at the broker, and can be asked for again. `mark` tells one
    payload of a topic from another, so that what comes again unchanged, as after each connect, is no work.
    """

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._lock = Lock()
        self._max_waiting = max_waiting
        self._parcels: deque[Parcel] = deque()
        self._refused: Counter[str] = Counter()
        self._marks: OrderedDict[str, int] = OrderedDict()
        self._missed = False

    def has(self, topic: str, mark: int) -> bool:
        """Whether that very payload came last from the topic."""
        with self._lock:
            return self._marks.get(topic) == mark

    def put(self, topic: str, parcel: Parcel, mark: int) -> None:
        """Leave what came from a topic."""
        with self._lock:
            if len(self._parcels) >= self._max_waiting:
                self._missed = True
                return
            self._parcels.append(parcel)
            self._marks[topic] = mark
            if len(self._marks) > _MAX_MARKS:
                self._marks.popitem(last=False)

    def take(self) -> Parcel | None:
        """Take the parcel that has waited longest."""
        with self._lock:
            return self._parcels.popleft() if self._parcels else None

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

    def take_missed(self) -> bool:
        """Whether something was lost and there is room for it now; told once."""
        with self._lock:
            missed = self._missed and not self._parcels
            self._missed = self._missed and not missed
            return missed
