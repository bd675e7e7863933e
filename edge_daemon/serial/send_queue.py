"""Lines that wait for a serial port: the latest label of each region, and a bounded number of others."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from edge_daemon.serial.lines import label_line

MAX_WAITING = 64
MAX_AGE_S = 2.0
"""Other lines that waited longer are dropped: a gate would move for the wrong object."""


class SendQueue:
    """Lines in the order of their events; a waiting label is replaced by the region's next one.

    Labels are empty until the first `set_label`. Any thread may use it. Times are monotonic seconds.
    """

    def __init__(self, regions: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._labels = dict.fromkeys(regions, "")
        self._waiting: OrderedDict[object, tuple[str, float]] = OrderedDict()
        """Other lines and their times by a unique key; a waiting label by its region, with no line."""

    def set_label(self, region: str, label: str) -> None:
        """Set and queue the label of a region."""
        with self._lock:
            self._labels[region] = label
            self._queue_label(region)

    def clear_labels(self) -> None:
        """Set and queue every label as empty."""
        with self._lock:
            for region in self._labels:
                self._labels[region] = ""
                self._queue_label(region)

    def repeat_labels(self) -> None:
        """Queue the labels of all regions."""
        with self._lock:
            for region in self._labels:
                self._queue_label(region)

    def put(self, line: str, now_s: float) -> None:
        """Queue another line; above MAX_WAITING of them, the oldest is dropped."""
        with self._lock:
            self._waiting[object()] = (line, now_s)
            others = [key for key in self._waiting if not isinstance(key, str)]
            if len(others) > MAX_WAITING:
                del self._waiting[others[0]]

    def pop(self, now_s: float) -> str | None:
        """Remove and return the first line that is not too old; None if there is none."""
        with self._lock:
            while self._waiting:
                key, (line, put_s) = self._waiting.popitem(last=False)
                if isinstance(key, str):
                    return label_line(key, self._labels[key])
                if now_s - put_s <= MAX_AGE_S:
                    return line
        return None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def _queue_label(self, region: str) -> None:
        self._waiting[region] = ("", 0.0)
        self._waiting.move_to_end(region)
