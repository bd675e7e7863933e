"""The send queue: bounded, filled from any thread, and persistent for events."""

from __future__ import annotations

import logging
import sqlite3
from bisect import insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from operator import attrgetter
from threading import Lock

from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.persistent_queue import PersistentQueue, WriteBatching
from edge_daemon.system.backoff import Backoff

logger = logging.getLogger(__name__)

_MAX_TELEMETRY = 100
_DEFERRAL_S = 1.0
_MAX_DEFERRAL_S = 30.0
_UNANSWERED_S = 5.0
_MAX_FINISHED_ROWS = 100

_by_number = attrgetter("number")


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message to send. `row` is its row in the persistent queue, None if it is only in memory.

    Messages are numbered in the order in which they are first sent; telemetry is not.
    """

    message: Message
    row: int | None = None
    number: int = field(default=0, compare=False)


class Outbox:
    """Queues messages by kind.

    - Retained messages are state. While connected, every change is sent. After a reconnect the last value of
      each topic is resent, which corrects stale retained values.
    - Telemetry is dropped while there is no connection.
    - Other messages are events: kept in order until acknowledged, with QoS 0 until sent. At most `max_queued`
      are kept; above that the oldest is dropped and counted. While there is no connection `persist` moves
      them to the persistent queue, except messages that expire, which would be useless after a restart.
      After one that the broker can't take now (`defer`) the events wait, too, up to half a minute; the first
      is then tried again.

    `put` is for any thread; all other methods and the persistent queue belong to the thread that owns the
    connection. A thread that owns it for a moment may send telemetry by `next_telemetry`, `sent` and `drop`,
    which use no disk for it. `now_s` is monotonic.
    """

    def __init__(self, max_queued: int, persistent: PersistentQueue) -> None:
        self._max_queued = max_queued
        self._persistent = persistent
        self._lock = Lock()
        self._online = False
        self._retained: dict[str, Message] = {}
        self._queue: deque[Message] = deque()
        self._telemetry: deque[Message] = deque(maxlen=_MAX_TELEMETRY)
        self._sent: dict[int, QueuedMessage] = {}
        self._resend: deque[QueuedMessage] = deque()
        self._numbers = count()
        self._deferred = False
        self._deferred_until_s = 0.0
        self._deferral = Backoff(_DEFERRAL_S, _MAX_DEFERRAL_S)
        self._unanswered_since_s: float | None = None
        self._probe: QueuedMessage | None = None
        self._dropped = 0
        self._disk_failing = False
        self._batching = WriteBatching()

    def put(self, message: Message) -> None:
        """Queue a message. Never blocks."""
        with self._lock:
            if message.retain:
                self._retained[message.topic] = message
            if self._online or not message.retain:
                queue = self._telemetry if message.telemetry and not message.retain else self._queue
                queue.append(message)
            self._enforce_limit()

    def connected(self) -> None:
        """Start a connection: retained messages are sent first, in the order their topics were first put."""
        self._batching = WriteBatching()
        with self._lock:
            self._online = True
            self._telemetry.clear()
            self._queue.extendleft(reversed(self._retained.values()))

    def resend_retained(self) -> None:
        """Queue the last retained value of each topic again, after what is queued, unless it is queued."""
        with self._lock:
            if self._online:
                queued = set(map(id, self._queue))
                self._queue.extend(each for each in self._retained.values() if id(each) not in queued)

    def disconnected(self) -> None:
        """End a connection: events sent but not acknowledged are queued again, in order."""
        self._delete_finished()
        with self._lock:
            was_online, self._online = self._online, False
            held = sorted([*self._resend, *self._sent.values()], key=_by_number)
            self._resend = deque(each for each in held if each.message.durable)
            waiting = [*(each.message for each in held if not each.message.durable), *self._queue]
            self._queue = deque(message for message in waiting if not message.retain)
            self._sent.clear()
            self._deferred, self._probe = False, None
            self._enforce_limit()
        self._persistent.rewind()
        if was_online:
            self.persist()

    def next(self, window: int, now_s: float) -> QueuedMessage | None:
        """Return the next message to send; None if there is none, or if `window` are unacknowledged."""
        if len(self._sent) < window:
            queued = self._next_deferred(now_s) if self._deferred else None
            if queued is None and not self._deferred:
                queued = self._next_queued()
            if queued is not None:
                return queued
        with self._lock:
            return QueuedMessage(self._telemetry.popleft()) if self._telemetry else None

    def _next_queued(self) -> QueuedMessage | None:
        if (refused := self._next_resend()) is not None:
            return refused
        with self._lock:
            if self._queue and self._queue[0].retain:
                return self._numbered(self._queue.popleft())
        if (stored := self._next_stored()) is not None:
            return stored
        with self._lock:
            if self._queue:
                return self._numbered(self._queue.popleft())
        if not self._sent:
            self._delete_finished()
        return None

    def _next_resend(self) -> QueuedMessage | None:
        """Return the first rejected message, but no retained value whose topic has a newer one."""
        with self._lock:
            while self._resend:
                queued = self._resend.popleft()
                message = queued.message
                if not message.retain or self._retained.get(message.topic) is message:
                    return queued
        return None

    def _next_stored(self) -> QueuedMessage | None:
        while self._persistent.has_unread and (stored := self._persistent.next()) is not None:
            row, message = stored
            if all(row != each.row for each in self._sent.values()):
                return self._numbered(message, row)
        return None

    def _numbered(self, message: Message, row: int | None = None) -> QueuedMessage:
        return QueuedMessage(message, row, next(self._numbers))

    def _next_deferred(self, now_s: float) -> QueuedMessage | None:
        """Return state, or after the pause one event, which goes alone until it is answered."""
        if self._probe is None and now_s >= self._deferred_until_s:
            self._probe = self._next_resend() or self._next_stored()
            self._deferred = self._probe is not None
            return self._probe
        with self._lock:
            state = next((message for message in self._queue if message.retain), None)
            if state is not None:
                self._queue.remove(state)
        return None if state is None else self._numbered(state)

    def next_telemetry(self) -> QueuedMessage | None:
        """Return the next telemetry; None if there is none, or if another message comes first."""
        with self._lock:
            if self._telemetry and not self.has_events:
                return QueuedMessage(self._telemetry.popleft())
        return None

    @property
    def has_events(self) -> bool:
        """True while a message of another kind waits to be sent, in memory or on disk."""
        return bool(self._queue or self._resend or self._persistent.has_unread)

    def sent(self, queued: QueuedMessage, mid: int | None) -> None:
        """Record the packet id of a sent message until it is acknowledged.

        `mid` is None if the broker acknowledges nothing, as with QoS 0: the message is then done.
        """
        if mid is None:
            self.drop(queued)
        else:
            self._sent[mid] = queued

    def retry(self, mid: int) -> None:
        """Queue a message again that the broker has rejected."""
        self._unanswered_since_s = None
        queued = self._sent.pop(mid, None)
        if queued is None:
            return
        if queued is self._probe:
            self._probe = None
        if queued.row is None or not self._persistent.will_read(queued.row):
            insort(self._resend, queued, key=_by_number)

    def defer(self, mid: int, now_s: float) -> None:
        """Queue a message again that the broker can't take now, and pause the events, longer each time."""
        if mid not in self._sent:
            return
        if not self._deferred:
            self._batching = WriteBatching()
        if not self._deferred or self._sent[mid] is self._probe:
            self._deferred_until_s = now_s + self._deferral.next_s()
        self._deferred = True
        self.retry(mid)

    def acknowledged(self, mid: int) -> None:
        """Remove a message that the broker has acknowledged."""
        self._unanswered_since_s = None
        if (queued := self._sent.pop(mid, None)) is not None:
            self.drop(queued)
        if not self._sent and not len(self._persistent):
            self._delete_finished()

    def drop(self, queued: QueuedMessage) -> None:
        """Remove a message that is done or can't be sent."""
        if queued is self._probe:
            self._deferred, self._probe = False, None
            self._deferral.reset()
        if queued.row is not None:
            self._persistent.finish(queued.row)
            if self._persistent.finished >= _MAX_FINISHED_ROWS:
                self._delete_finished()

    def persist(self) -> bool:
        """Move the queued events to the persistent queue and return whether there were any.

        Those in flight are copied. All stay in memory if the disk can't be written.
        """
        sent = [each for each in self._sent.values() if each.message.durable]
        stored, rejected, events = self._pop_events()
        held = sorted([*rejected, *(each for each in sent if not self._is_stored(each))], key=_by_number)
        if not (held or stored or events or self._persistent.misplaced):
            return False
        self._persistent.rewind()  # `store` may give the rows of `stored` other numbers
        is_free = all(each.row is None for each in self._sent.values())
        copies = sorted([*stored, *(each for each in sent if self._is_stored(each))], key=_by_number)
        new = [*(each.message for each in held), *events]
        try:
            dropped = self._persistent.store(new, [each.message for each in copies], may_move=is_free)
        except sqlite3.Error as exc:
            self._log_disk_error(exc)
            lost = [each for each in stored if not self._is_stored(each)]
            with self._lock:
                self._queue.extendleft(reversed([*(each.message for each in (*lost, *rejected)), *events]))
        else:
            self._disk_failing = False
            moved = [each for each in copies if not self._is_stored(each)]
            self._set_rows([*moved, *held], self._persistent.rows_of_last(len(moved) + len(new)))
            with self._lock:
                self._dropped += dropped
        return True

    def _set_rows(self, held: Iterable[QueuedMessage], rows: Iterable[int]) -> None:
        mids = {each.number: mid for mid, each in self._sent.items()}
        for queued, row in zip(held, rows, strict=False):
            if (mid := mids.get(queued.number)) is not None:
                self._sent[mid] = replace(queued, row=row)
                if queued is self._probe:
                    self._probe = self._sent[mid]

    def _pop_events(self) -> tuple[list[QueuedMessage], list[QueuedMessage], list[Message]]:
        """Remove all events from memory; return the rejected ones, on disk and not, and the others."""
        with self._lock:
            durable = [each for each in self._resend if each.message.durable]
            events = [message for message in self._queue if message.durable]
            self._resend = deque(each for each in self._resend if not each.message.durable)
            self._queue = deque(message for message in self._queue if not message.durable)
        stored = [each for each in durable if self._is_stored(each)]
        return stored, [each for each in durable if not self._is_stored(each)], events

    def _is_stored(self, queued: QueuedMessage) -> bool:
        """Return whether a message is in the queue file, too; not if that file became damaged since."""
        return queued.row is not None and not self._persistent.has_lost(queued.row)

    def persist_unsent(self, now_s: float) -> None:
        """Persist in batches while the broker can't take the events, or has answered none for some seconds.

        Deferred events wait until it has answered all that was sent, which comes first in the queue.
        """
        is_due = self._deferred and not self._sent
        if not self._sent:
            self._unanswered_since_s = None
        elif self._unanswered_since_s is None:
            self._unanswered_since_s = now_s
        elif now_s >= self._unanswered_since_s + _UNANSWERED_S:
            is_due = True
        if is_due:
            self.persist_if_due(now_s)

    def persist_if_due(self, now_s: float) -> None:
        """Persist in batches, which grow with the outage."""
        if self._batching.due(now_s) and self.persist():
            self._batching.written(now_s)

    @property
    def in_flight(self) -> int:
        """Number of messages sent and not yet acknowledged."""
        return len(self._sent)

    @property
    def idle(self) -> bool:
        """True if the broker has everything except telemetry."""
        return not (self._queue or self._sent or self._resend or len(self._persistent))

    def pop_dropped_count(self) -> int:
        """Return the number of events dropped since the last call."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def close(self) -> None:
        """Close the persistent queue."""
        self._persistent.close()

    def _delete_finished(self) -> None:
        try:
            self._persistent.delete_finished()
        except sqlite3.Error as exc:
            self._log_disk_error(exc)

    def _log_disk_error(self, exc: sqlite3.Error) -> None:
        """Log the first error as a warning: a full disk is a state, not a crash."""
        level = logging.DEBUG if self._disk_failing else logging.WARNING
        logger.log(level, "waiting MQTT events can't be written to disk: %s", exc)
        self._disk_failing = True

    def _enforce_limit(self) -> None:
        retained_queued = len(self._retained) if self._online else 0
        while len(self._queue) > self._max_queued + retained_queued:
            oldest = self._queue.popleft()
            if self._retained.get(oldest.topic) is oldest:
                self._queue.append(oldest)  # the current value of its topic is never dropped
            elif not oldest.retain:
                self._dropped += 1
