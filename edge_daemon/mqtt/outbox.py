"""What waits for the broker, bounded, from any thread."""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from threading import Lock
from typing import NamedTuple

from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.persistent_queue import PersistentQueue

logger = logging.getLogger(__name__)

_MAX_STREAM = 100
_MAX_DONE_ROWS = 100


class Sendable(NamedTuple):
    """A message to send. `row` is where it stands in the backlog, None if it is only in memory."""

    message: Message
    row: int | None = None


class Outbox:
    """Keeps each kind of message as its subscribers need it.

    - A retained message is a state. Every change is sent while there is a connection; after a
      connect, the last of each topic, so that a broker that forgot or holds an older one is right again.
    - A message of QoS 1 or 2 is an event: kept in order until acknowledged, at most `max_queued` of
      them; then the oldest is dropped and counted. While there is no connection `spill` moves them to
      the backlog, but for messages that expire, which nobody would want after a restart.
    - A message of QoS 0 is a stream: dropped while there is no connection.

    `put` is for any thread; all else, and the backlog, for the thread that owns the connection.
    """

    def __init__(self, max_queued: int, backlog: PersistentQueue) -> None:
        self._max_queued = max_queued
        self._backlog = backlog
        self._lock = Lock()
        self._online = False
        self._states: dict[str, Message] = {}
        self._queue: deque[Message] = deque()
        self._stream: deque[Message] = deque(maxlen=_MAX_STREAM)
        self._sent: dict[int, Sendable] = {}
        self._again: deque[Sendable] = deque()
        self._done_rows: list[int] = []
        self._dropped = 0
        self._disk_trouble = False

    def put(self, message: Message) -> None:
        """Take a message. Never blocks."""
        with self._lock:
            if message.retain:
                self._states[message.topic] = message
            if self._online or not message.retain:
                waiting = self._stream if _is_stream(message) else self._queue
                waiting.append(message)
            self._bound()

    def connected(self) -> None:
        """Start a connection: every state goes first, in the order its topic was first put."""
        with self._lock:
            self._online = True
            self._stream.clear()
            self._queue.extendleft(reversed(self._states.values()))

    def disconnected(self) -> None:
        """End a connection: events sent but not acknowledged are to be sent again, in order."""
        with self._lock:
            was_online, self._online = self._online, False
            unacknowledged = [
                sent.message for sent in (*self._again, *self._sent.values()) if sent.row is None
            ]
            waiting = [*unacknowledged, *self._queue]
            self._queue = deque(message for message in waiting if not message.retain)
            self._sent.clear()
            self._again.clear()
            self._bound()
        self._forget_done()
        self._backlog.rewind()
        if was_online:
            self.spill()

    def take(self, window: int) -> Sendable | None:
        """Return what to send next; None while there is nothing, or `window` are unacknowledged."""
        if len(self._sent) < window:
            if self._again:
                return self._again.popleft()
            with self._lock:
                if self._queue and self._queue[0].retain:
                    return Sendable(self._queue.popleft())
            if (stored := self._backlog.next()) is not None:
                return Sendable(stored[1], stored[0])
            with self._lock:
                if self._queue:
                    return Sendable(self._queue.popleft())
            if self._done_rows and not self._sent:
                self._forget_done()
        with self._lock:
            return Sendable(self._stream.popleft()) if self._stream else None

    def sent(self, sendable: Sendable, mid: int | None) -> None:
        """Remember that a message went out with the packet id `mid`, until it is acknowledged.

        `mid` is None where the broker acknowledges nothing, as with QoS 0: the message is done.
        """
        if mid is None:
            self.discard(sendable)
        else:
            self._sent[mid] = sendable

    def retry(self, mid: int) -> None:
        """Offer a message again that the broker has refused, unless a newer state of its topic is there."""
        sendable = self._sent.pop(mid, None)
        if sendable is None:
            return
        message = sendable.message
        with self._lock:
            if not message.retain or self._states.get(message.topic) is message:
                self._again.append(sendable)

    def acknowledged(self, mid: int) -> None:
        """Forget a message that the broker has."""
        sendable = self._sent.pop(mid, None)
        if sendable is not None:
            self.discard(sendable)
        if not self._sent and len(self._done_rows) >= len(self._backlog):
            self._forget_done()

    def discard(self, sendable: Sendable) -> None:
        """Forget a message that is done or can't be sent."""
        if sendable.row is not None:
            self._done_rows.append(sendable.row)
        if len(self._done_rows) >= _MAX_DONE_ROWS:
            self._forget_done()

    def spill(self) -> bool:
        """Move the events that wait to the backlog and return whether there were any.

        Where the disk refuses them they stay in memory.
        """
        with self._lock:
            events = [message for message in self._queue if _is_durable(message)]
            self._queue = deque(message for message in self._queue if not _is_durable(message))
        if not events:
            return False
        try:
            dropped = self._backlog.store(events)
        except sqlite3.OperationalError as exc:
            self._note_disk_trouble(exc)
            with self._lock:
                self._queue.extendleft(reversed(events))
        else:
            self._disk_trouble = False
            with self._lock:
                self._dropped += dropped
        return True

    @property
    def in_flight(self) -> int:
        """How many messages are sent and not yet acknowledged."""
        return len(self._sent)

    @property
    def idle(self) -> bool:
        """Whether the broker has all but the stream."""
        with self._lock:
            queued = bool(self._queue)
        return not (queued or self._sent or self._again or len(self._backlog) > len(self._done_rows))

    def take_dropped(self) -> int:
        """Return how many events were dropped since the last call."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def _forget_done(self) -> None:
        if not self._done_rows:
            return
        try:
            self._backlog.remove(self._done_rows)
        except sqlite3.OperationalError as exc:
            self._note_disk_trouble(exc)
        else:
            self._done_rows.clear()

    def _note_disk_trouble(self, exc: sqlite3.Error) -> None:
        """Say it once: a full disk is a state, not the end."""
        level = logging.DEBUG if self._disk_trouble else logging.WARNING
        logger.log(level, "waiting MQTT events can't be written to disk: %s", exc)
        self._disk_trouble = True

    def _bound(self) -> None:
        states_queued = len(self._states) if self._online else 0
        while len(self._queue) > self._max_queued + states_queued:
            oldest = self._queue.popleft()
            if self._states.get(oldest.topic) is oldest:
                self._queue.append(oldest)  # still true, so still to be told
            elif not oldest.retain:
                self._dropped += 1


def _is_stream(message: Message) -> bool:
    return message.qos == 0 and not message.retain


def _is_durable(message: Message) -> bool:
    return not message.retain and message.expiry_s is None
