"""What waits for the broker, bounded, from any thread."""

from __future__ import annotations

from collections import deque
from threading import Lock

from edge_daemon.mqtt.message import Message

_MAX_STREAM = 100


class Outbox:
    """Keeps each kind of message as its subscribers need it.

    - A retained message is a state. Every change is sent while there is a connection; after a
      connect, the last of each topic, so that a broker that forgot or holds an older one is right again.
    - A message of QoS 1 or 2 is an event: kept in order until acknowledged, at most `max_queued` of
      them; then the oldest is dropped and counted.
    - A message of QoS 0 is a stream: dropped while there is no connection.

    Filled by any thread; the other methods belong to the thread that owns the connection.
    """

    def __init__(self, max_queued: int) -> None:
        self._max_queued = max_queued
        self._lock = Lock()
        self._online = False
        self._states: dict[str, Message] = {}
        self._queue: deque[Message] = deque()
        self._stream: deque[Message] = deque(maxlen=_MAX_STREAM)
        self._sent: dict[int, Message] = {}
        self._dropped = 0

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
            self._online = False
            waiting = [*self._sent.values(), *self._queue]
            self._queue = deque(message for message in waiting if not message.retain)
            self._sent.clear()
            self._bound()

    def take(self, window: int) -> Message | None:
        """Return the next message to send; None while there is none, or `window` are unacknowledged."""
        with self._lock:
            if self._queue and len(self._sent) < window:
                return self._queue.popleft()
            return self._stream.popleft() if self._stream else None

    def sent(self, message: Message, mid: int) -> None:
        """Remember that a message went out with the packet id `mid`, until it is acknowledged."""
        if message.qos > 0:
            with self._lock:
                self._sent[mid] = message

    def acknowledged(self, mid: int) -> None:
        """Forget a message that the broker has."""
        with self._lock:
            self._sent.pop(mid, None)

    @property
    def idle(self) -> bool:
        """Whether the broker has all but the stream."""
        with self._lock:
            return not (self._queue or self._sent)

    def take_dropped(self) -> int:
        """Return how many events were dropped since the last call."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            return dropped

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
