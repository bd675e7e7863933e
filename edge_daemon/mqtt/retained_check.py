"""Check whether a broker sends retained messages to new subscribers; if not, the state is sent again."""

from __future__ import annotations

from edge_daemon.mqtt.message import Incoming

RESEND_S = 60.0
"""Interval at which the state is sent again at a broker that does not send it to new subscribers."""

_DELIVERY_S = 5.0
"""Time for the delivery after the broker has granted the subscription."""


class RetainedCheck:
    """Subscribes once per connection with a wildcard that matches a retained message of this device.

    A broker must send that message at once. RabbitMQ does so only for subscriptions without a wildcard, and
    only at the node that received the message. A missing message counts only if this connection received the
    device's own publication at that topic: else an access list may forbid to write or read it. `waiting` is
    true until the subscription is taken. Belongs to the thread that owns the connection; times are monotonic
    seconds.
    """

    def __init__(self, topic: str) -> None:
        self.topic_filter = f"{topic}/#"  # matches the topic itself, too
        self._topic = topic
        self.waiting = False
        self._readable = False
        self._mid: int | None = None
        self._granted_s: float | None = None
        self._resend_s: float | None = None

    def connected(self, retain: bool, now_s: float) -> None:
        """Start a connection; without `retain` the broker keeps no retained messages, so one is missing."""
        self.waiting = retain
        self._readable = not retain
        self._mid = None
        self._granted_s = None if retain else now_s - _DELIVERY_S
        self._resend_s = None

    def pop_subscription(self) -> str | None:
        """Return the filter once; call it when the broker has acknowledged the retained messages."""
        waiting, self.waiting = self.waiting, False
        return self.topic_filter if waiting else None

    def subscribed(self, mid: int | None) -> None:
        """Record the packet id of the subscription."""
        self._mid = mid

    def acknowledged(self, mid: int, granted: bool, now_s: float) -> None:
        """Handle an acknowledgement; a subscription that is refused shows nothing."""
        if mid == self._mid:
            self._mid = None
            self._granted_s = now_s if granted else None

    def handle(self, incoming: Incoming) -> None:
        """Handle a message: the expected one ends the check."""
        if incoming.topic == self._topic:
            self._readable = True
            if incoming.retained:
                self._granted_s = self._mid = None

    @property
    def found_missing(self) -> bool:
        """True if this connection has found the message missing."""
        return self._resend_s is not None

    def pop_missing(self, now_s: float) -> bool:
        """Return once whether the message was not delivered in time."""
        if self._granted_s is None or now_s - self._granted_s < _DELIVERY_S:
            return False
        self._granted_s = None
        if self._readable:
            self._resend_s = now_s + RESEND_S
        return self._readable

    def pop_resend(self, now_s: float) -> bool:
        """Return whether to send the state again now."""
        due = self._resend_s is not None and now_s >= self._resend_s
        if due:
            self._resend_s = now_s + RESEND_S
        return due
