"""A test's side of an outbox: it puts numbered events and sends what is queued, as a connection does."""

from __future__ import annotations

from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.outbox import Outbox, QueuedMessage

WINDOW = 20


class OutboxSender:
    """Sends an outbox's messages as the connection does; `sent` has their texts."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.sent: list[str] = []

    def send(self, now_s: float = 0.0) -> int | None:
        """Send the next message; return its packet id."""
        queued: QueuedMessage | None = self.outbox.next(WINDOW, now_s)
        if queued is None:
            return None
        self.sent.append(queued.message.payload.decode())
        self.outbox.sent(queued, len(self.sent))
        return len(self.sent)

    def send_all(self, now_s: float = 0.0) -> list[str]:
        """Send and acknowledge all that is sent now; return the texts."""
        before = len(self.sent)
        while (mid := self.send(now_s)) is not None:
            self.outbox.acknowledged(mid)
        return self.sent[before:]


def event(number: int) -> Message:
    """Return an event with a number as its payload."""
    return Message("event", str(number).encode(), 1, retain=False)


def put(outbox: Outbox, *numbers: int) -> None:
    """Queue numbered events."""
    for number in numbers:
        outbox.put(event(number))
