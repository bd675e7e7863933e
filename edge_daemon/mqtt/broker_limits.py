"""The limits of a broker: announced with MQTT 5, else estimated from messages that end a connection."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace

from edge_daemon.mqtt.message import Message, shorten

SUBSCRIBE = "SUBSCRIBE "
"""Topic prefix of a message that represents a subscription."""

_ACKNOWLEDGE_S = 5.0
"""A message of QoS 0 sent longer ago has not ended the connection."""
_CAUTIOUS_S = 10.0
_SETTLED_S = 0.5
_MAX_FAILURES = 3
_REMEMBERED_S = 86_400.0
_MIN_LIMIT_BYTES = 256
"""Size that every broker accepts; a shorter message was rejected for another reason."""
_ORDINARY_BYTES = 65_536
"""Only pictures exceed a limit of this size or more."""
_MAX_TOPICS = 200
_MAX_UNACKNOWLEDGED = 200
_UNSUSPICIOUS = frozenset(
    {
        "Administrative action",
        "Connection rate exceeded",
        "Keep alive timeout",
        "Maximum connect time",
        "Server busy",
        "Server moved",
        "Server shutting down",
        "Session taken over",
        "Use another server",
    }
)
"""Reasons of a DISCONNECT that no message has caused."""


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """Maximum QoS, support of retained messages, and maximum packet size in bytes (None: unlimited)."""

    max_qos: int = 2
    retain: bool = True
    max_packet: int | None = None

    def reduced(self, message: Message) -> Message:
        """Return the message with an allowed QoS and retain flag."""
        if message.qos <= self.max_qos and (self.retain or not message.retain):
            return message
        return replace(message, qos=min(message.qos, self.max_qos), retain=message.retain and self.retain)

    def __and__(self, other: BrokerLimits) -> BrokerLimits:
        sizes = [size for size in (self.max_packet, other.max_packet) if size is not None]
        return BrokerLimits(
            min(self.max_qos, other.max_qos),
            self.retain and other.retain,
            min(sizes, default=None),
        )

    def describe(self, wanted_qos: int) -> list[str]:
        """Return a clause for each limit that affects a device with `wanted_qos`."""
        clauses = []
        if self.max_qos < wanted_qos:
            lost = "; events may be lost with the connection" if self.max_qos == 0 else ""
            clauses.append(f"takes QoS {self.max_qos} at most, not {wanted_qos}{lost}")
        if not self.retain:
            clauses.append("keeps no retained messages; a new subscriber sees a label within a minute")
        if self.max_packet is not None and self.max_packet < _ORDINARY_BYTES:
            clauses.append(
                f"takes messages of {self.max_packet} bytes at most; longer ones are cut or left out"
            )
        return clauses


_NO_LIMITS = BrokerLimits()


class BrokerLimitEstimator:
    """Estimates the limits of a broker, so that a device does not resend what ends the connection.

    A message is unacknowledged until the broker has acknowledged it or a later one; with QoS 0 for 5 s at
    most. When a connection ends, the suspects are the unacknowledged messages that differ from all accepted
    ones by QoS, retain flag, size or topic. The next connection is cautious: one message at a time. A message
    that is the only suspect for the third time is sent with less from then on: with QoS 0, not retained,
    both, and finally only if it is shorter. Two topics with too long messages set a limit for all topics.

    A connection that tests a suspect must hold for 0.5 s before anything is sent. One that ends without a
    message, or a broker that is unreachable, clears all suspicions. Estimates expire after a day, as they may
    be due to chance. Belongs to one thread; times are monotonic seconds.
    """

    def __init__(self, max_qos: int) -> None:
        self._wanted_qos = max_qos
        self._announced = BrokerLimits(max_qos)
        self._unacknowledged: deque[tuple[int | None, Message, float]] = deque(maxlen=_MAX_UNACKNOWLEDGED)
        self._connected_s = 0.0
        self._reported: set[str] = set()
        self._findings: list[str] = []
        self._reset(0.0)

    def _reset(self, now_s: float) -> None:
        self._since_s = now_s
        self._accepted_qos = 0
        self._accepted_retain = False
        self._accepted_bytes = 0
        self._accepted_topics: dict[str, None] = {}
        self._failures: Counter[str] = Counter()
        self._hypothesis = self._confirmed = BrokerLimits()
        self._suspect_topic: str | None = None
        self._hypotheses: deque[BrokerLimits] = deque()
        self._too_long: dict[str, int] = {}
        self._rejected_bytes: int | None = None

    @property
    def limits(self) -> BrokerLimits:
        """Current limits for every topic, including the configured QoS."""
        known = self._announced if self._hypothesis == _NO_LIMITS else self._announced & self._hypothesis
        if self._rejected_bytes is not None or len(self._too_long) > 1:
            known &= BrokerLimits(max_packet=self._estimated_bytes())
        return known

    def reduce(self, message: Message) -> Message | None:
        """Return the message within the limits, shortened if need be; None if that is impossible."""
        limits = self.limits
        reduced = limits.reduced(message)
        limit = limits.max_packet
        if (too_long := self._too_long.get(message.topic)) is not None:
            limit = too_long - 1 if limit is None else min(limit, too_long - 1)
        if limit is None or reduced.packet_bytes <= limit:
            return reduced
        room = limit - (reduced.packet_bytes - len(reduced.payload))
        payload = shorten(reduced.payload, room)
        if payload is None and not message.topic.startswith(SUBSCRIBE):
            self._report(f"takes no message of {reduced.packet_bytes} bytes", message.topic)
        return None if payload is None else replace(reduced, payload=payload)

    def connected(self, announced: BrokerLimits, now_s: float) -> None:
        """Start a connection to a broker with the limits that it has announced, if any."""
        if now_s - self._since_s > _REMEMBERED_S:
            self._reset(now_s)
        self._announced = announced & BrokerLimits(self._wanted_qos)
        self._connected_s = now_s
        self._unacknowledged.clear()
        self._report_limits()

    def is_cautious(self, now_s: float) -> bool:
        """Return whether to send one message at a time."""
        return bool(self._failures) and now_s - self._connected_s < _CAUTIOUS_S

    def must_wait(self, now_s: float) -> bool:
        """Return whether to send nothing now: before an acknowledgement, or before the connection settled."""
        if not self.is_cautious(now_s):
            return False
        if self._unacknowledged:
            return now_s - self._unacknowledged[-1][2] <= _ACKNOWLEDGE_S
        decisive = any(count >= self._failures_needed(topic) - 1 for topic, count in self._failures.items())
        return decisive and now_s - self._connected_s < _SETTLED_S

    def sent(self, message: Message, mid: int | None, now_s: float) -> None:
        """Record a message as sent; `mid` is the packet id of its acknowledgement."""
        self._accept_expired(now_s)
        self._unacknowledged.append((mid, message, now_s))

    def acknowledged(self, mid: int) -> None:
        """Handle an acknowledgement. Brokers work in order, so all earlier messages are accepted too."""
        if any(mid == each[0] for each in self._unacknowledged):
            while self._unacknowledged:
                found, message, _ = self._unacknowledged.popleft()
                self._accept(message)
                if found == mid:
                    return

    def rejected_as_too_large(self, mid: int) -> None:
        """Handle the rejection of a message as too large."""
        for each in self._unacknowledged:
            if each[0] == mid:
                self._unacknowledged.remove(each)
                self._limit_size(each[1])
                return

    def connection_lost(self, reason: str, now_s: float) -> bool:
        """Find the message that ended the connection; return whether the next connection may identify it."""
        self._accept_expired(now_s)
        unacknowledged = list(self._unacknowledged)
        self._unacknowledged.clear()
        if not unacknowledged:
            self.unreachable()
        suspects = [message for _, message, _ in unacknowledged if self._is_new(message)]
        if reason in _UNSUSPICIOUS or not suspects:
            return False
        if reason == "Packet too large":
            self._limit_size(max(suspects, key=lambda message: message.packet_bytes))
            return True
        return self._suspect(suspects, first_sent_s=unacknowledged[0][2])

    def unreachable(self) -> None:
        """Handle a failure without a sent message: no message is the cause."""
        self._failures.clear()
        self._suspect_topic, self._hypothesis = None, self._confirmed

    def pop_findings(self) -> list[str]:
        """Return the limits found since the last call, each once."""
        findings, self._findings = self._findings, []
        return findings

    def _suspect(self, suspects: list[Message], first_sent_s: float) -> bool:
        self._failures.update({message.topic for message in suspects})
        while len(self._failures) > _MAX_TOPICS:
            del self._failures[next(iter(self._failures))]
        shortest = min(suspects, key=lambda message: message.packet_bytes)
        alone = len({message.topic for message in suspects}) == 1
        settled = first_sent_s - self._connected_s >= _SETTLED_S
        needed = self._failures_needed(shortest.topic)
        if alone and settled and self._failures[shortest.topic] >= needed:
            self._try_next_hypothesis(shortest)
            return True
        return any(self._failures[message.topic] < _MAX_FAILURES for message in suspects)

    def _failures_needed(self, topic: str) -> int:
        """Return the number of failures that convict a message: fewer once a size limit was found."""
        if topic in self._too_long:
            return 1
        return _MAX_FAILURES - 1 if self._too_long else _MAX_FAILURES

    def _accept_expired(self, now_s: float) -> None:
        """Accept messages without acknowledgement that were sent long ago."""
        while self._unacknowledged:
            mid, message, sent_s = self._unacknowledged[0]
            if mid is not None or now_s - sent_s <= _ACKNOWLEDGE_S:
                return
            self._unacknowledged.popleft()
            self._accept(message)

    def _is_new(self, message: Message) -> bool:
        return (
            message.qos > self._accepted_qos
            or (message.retain and not self._accepted_retain)
            or message.packet_bytes > self._accepted_bytes
            or message.topic not in self._accepted_topics
        )

    def _accept(self, message: Message) -> None:
        self._accepted_qos = max(self._accepted_qos, message.qos)
        self._accepted_retain |= message.retain
        self._accepted_bytes = max(self._accepted_bytes, message.packet_bytes)
        self._accepted_topics[message.topic] = None
        if len(self._accepted_topics) > _MAX_TOPICS:
            del self._accepted_topics[next(iter(self._accepted_topics))]
        self._failures.pop(message.topic, None)
        if message.topic == self._suspect_topic:
            self._suspect_topic, self._confirmed = None, self._hypothesis
            self._report_limits()

    def _try_next_hypothesis(self, message: Message) -> None:
        """Try the next explanation of a failing message; the last one is its size at this topic."""
        if self._suspect_topic != message.topic:
            self._suspect_topic = message.topic
            self._hypotheses = deque(self._hypotheses_for(message))
        if self._hypotheses:
            self._hypothesis = self._hypotheses.popleft()
            return
        self._hypothesis, self._suspect_topic = self._confirmed, None
        self._failures.pop(message.topic)
        self._too_long[message.topic] = message.packet_bytes
        if message.topic.startswith(SUBSCRIBE):
            self._report("hangs up at a subscription", message.topic.removeprefix(SUBSCRIBE))
        else:
            self._report(
                f"hangs up at a message of {message.packet_bytes} bytes: too long, or not allowed,",
                message.topic,
            )
        self._report_limits()

    def _hypotheses_for(self, message: Message) -> list[BrokerLimits]:
        without_qos = replace(self._hypothesis, max_qos=0)
        without_retain = replace(self._hypothesis, retain=False)
        qos = message.qos > self._accepted_qos
        retain = message.retain and not self._accepted_retain
        if qos and retain:
            return [without_qos, without_retain, without_qos & without_retain]
        return [without_qos] if qos else [without_retain] if retain else []

    def _limit_size(self, message: Message) -> None:
        self._rejected_bytes = min(self._rejected_bytes or message.packet_bytes, message.packet_bytes)
        self._report_limits()

    def _estimated_bytes(self) -> int | None:
        sizes = [] if self._rejected_bytes is None else [self._rejected_bytes]
        shortest = min(self._too_long.values(), default=0)
        if len(self._too_long) > 1 and shortest > max(self._accepted_bytes, _MIN_LIMIT_BYTES):
            sizes.append(shortest)
        return min(sizes) - 1 if sizes else None

    def _report_limits(self) -> None:
        for clause in self.limits.describe(self._wanted_qos):
            self._report(clause)

    def _report(self, clause: str, topic: str = "") -> None:
        """Add a finding, once per kind and topic."""
        kind = f"{clause.split(' bytes')[0].rstrip('0123456789')} {topic}"
        if kind not in self._reported and len(self._reported) < _MAX_TOPICS:
            self._reported.add(kind)
            self._findings.append(f"the MQTT broker {clause}" + (f" at {topic}" if topic else ""))
