"""What a broker takes: announced by MQTT 5, otherwise inferred from the messages that end a connection."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace

from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.payload_shortening import shortened

SUBSCRIBE = "SUBSCRIBE "
"""How the topic begins of a message that stands for a subscription."""

_ANSWER_S = 5.0
"""A message of QoS 0 that was sent longer ago did not end the connection."""
_CAREFUL_S = 10.0
_SETTLED_S = 0.5
_STRIKES = 3
_REMEMBERED_S = 86_400.0
_LEAST_LIMIT_BYTES = 256
"""What every broker takes; a shorter message is refused for another reason."""
_MAX_TOPICS = 200
_MAX_UNCONFIRMED = 200
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
"""Reasons of a DISCONNECT that no message is to blame for."""


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """Highest QoS, whether retained messages are kept, and the longest packet in bytes (None: no limit)."""

    max_qos: int = 2
    retain: bool = True
    max_packet: int | None = None

    def reduced(self, message: Message) -> Message:
        """Return the message with a QoS and a retain flag that are allowed."""
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
        """Return a clause for each limit that a device with `wanted_qos` meets."""
        clauses = []
        if self.max_qos < wanted_qos:
            lost = "; events may be lost with the connection" if self.max_qos == 0 else ""
            clauses.append(f"takes QoS {self.max_qos} at most, not {wanted_qos}{lost}")
        if not self.retain:
            clauses.append("keeps no retained messages; a new subscriber sees a label when it changes")
        if self.max_packet is not None and self.max_packet < _ORDINARY_BYTES:
            clauses.append(
                f"takes messages of {self.max_packet} bytes at most; longer ones are cut or left out"
            )
        return clauses


_ORDINARY_BYTES = 65_536
"""A limit from here up is met by no message but a picture."""


_NO_LIMITS = BrokerLimits()


class LimitLearner:
    """Keeps a device from sending again and again what makes its broker hang up.

    A message is unconfirmed until the broker has answered it or a later one; with QoS 0 for 5 s at most. A
    connection that ends blames the unconfirmed messages that differ from all that have passed: by QoS, by
    the retain flag, by size, or by topic. The next connection is `careful`: one message at a time. A message
    that is to blame alone and for the third time is sent with less from then on: with QoS 0, not retained,
    both, and at last only where it is shorter. Two topics with messages too long make a limit for all. A
    connection that is to tell more has to hold for half a second before anything is sent; one that ends
    without a message, or can't be had, clears them all. What was inferred is forgotten after a day, as it may
    have been chance. Belongs to one thread; times are monotonic seconds.
    """

    def __init__(self, max_qos: int) -> None:
        self._wanted_qos = max_qos
        self._announced = BrokerLimits(max_qos)
        self._unconfirmed: deque[tuple[int | None, Message, float]] = deque(maxlen=_MAX_UNCONFIRMED)
        self._connected_s = 0.0
        self._named: set[str] = set()
        self._news: list[str] = []
        self._forget(0.0)

    def _forget(self, now_s: float) -> None:
        self._since_s = now_s
        self._passed_qos = 0
        self._passed_retain = False
        self._passed_bytes = 0
        self._passed_topics: dict[str, None] = {}
        self._strikes: Counter[str] = Counter()
        self._guess = self._sure = BrokerLimits()
        self._accused: str | None = None
        self._guesses: deque[BrokerLimits] = deque()
        self._too_long: dict[str, int] = {}
        self._refused_bytes: int | None = None

    @property
    def limits(self) -> BrokerLimits:
        """What holds now for any topic, the configured QoS included."""
        known = self._announced if self._guess == _NO_LIMITS else self._announced & self._guess
        if self._refused_bytes is not None or len(self._too_long) > 1:
            known &= BrokerLimits(max_packet=self._inferred_bytes())
        return known

    def _inferred_bytes(self) -> int | None:
        sizes = [] if self._refused_bytes is None else [self._refused_bytes]
        least = min(self._too_long.values(), default=0)
        if len(self._too_long) > 1 and least > max(self._passed_bytes, _LEAST_LIMIT_BYTES):
            sizes.append(least)
        return min(sizes) - 1 if sizes else None

    def admit(self, message: Message) -> Message | None:
        """Return what to send in place of a message, None where nothing of it can pass."""
        limits = self.limits
        reduced = limits.reduced(message)
        limit = limits.max_packet
        if (too_long := self._too_long.get(message.topic)) is not None:
            limit = too_long - 1 if limit is None else min(limit, too_long - 1)
        if limit is None or reduced.packet_bytes <= limit:
            return reduced
        room = limit - (reduced.packet_bytes - len(reduced.payload))
        payload = shortened(reduced.payload, room)
        if payload is None and not message.topic.startswith(SUBSCRIBE):
            self._name(f"takes no message of {reduced.packet_bytes} bytes", message.topic)
        return None if payload is None else replace(reduced, payload=payload)

    def connected(self, announced: BrokerLimits, now_s: float) -> None:
        """Begin a connection to a broker that has announced its limits, if it has any."""
        if now_s - self._since_s > _REMEMBERED_S:
            self._forget(now_s)
        self._announced = announced & BrokerLimits(self._wanted_qos)
        self._connected_s = now_s
        self._unconfirmed.clear()
        self._name_limits()

    def careful(self, now_s: float) -> bool:
        """Whether to send one message at a time."""
        return bool(self._strikes) and now_s - self._connected_s < _CAREFUL_S

    def must_wait(self, now_s: float) -> bool:
        """Whether to send nothing for now: an answer is due, or the connection has yet to hold by itself."""
        if not self.careful(now_s):
            return False
        if self._unconfirmed:
            return now_s - self._unconfirmed[-1][2] <= _ANSWER_S
        decisive = any(count >= self._needed(topic) - 1 for topic, count in self._strikes.items())
        return decisive and now_s - self._connected_s < _SETTLED_S

    def sent(self, message: Message, mid: int | None, now_s: float) -> None:
        """Note a message as it was sent; an acknowledgement of `mid` confirms it."""
        self._expire(now_s)
        self._unconfirmed.append((mid, message, now_s))

    def confirmed(self, mid: int) -> None:
        """Note an answer of the broker, which works in order: what was sent before has passed too."""
        if any(mid == each[0] for each in self._unconfirmed):
            while self._unconfirmed:
                found, message, _ = self._unconfirmed.popleft()
                self._pass(message)
                if found == mid:
                    return

    def refused_as_too_large(self, mid: int) -> None:
        """Note that the broker has named a message too large."""
        for each in self._unconfirmed:
            if each[0] == mid:
                self._unconfirmed.remove(each)
                self._refuse(each[1])
                return

    def lost(self, reason: str, now_s: float) -> bool:
        """Look for the message that ended the connection; return whether the next one may tell more."""
        self._expire(now_s)
        unconfirmed = list(self._unconfirmed)
        self._unconfirmed.clear()
        if not unconfirmed:
            self.unreachable()
        suspects = [message for _, message, _ in unconfirmed if self._is_new(message)]
        if reason in _UNSUSPICIOUS or not suspects:
            return False
        if reason == "Packet too large":
            self._refuse(max(suspects, key=lambda message: message.packet_bytes))
            return True
        self._strikes.update({message.topic for message in suspects})
        while len(self._strikes) > _MAX_TOPICS:
            del self._strikes[next(iter(self._strikes))]
        shortest = min(suspects, key=lambda message: message.packet_bytes)
        alone = len({message.topic for message in suspects}) == 1
        settled = unconfirmed[0][2] - self._connected_s >= _SETTLED_S
        if alone and settled and self._strikes[shortest.topic] >= self._needed(shortest.topic):
            self._blame(shortest)
            return True
        return any(self._strikes[message.topic] < _STRIKES for message in suspects)

    def _needed(self, topic: str) -> int:
        """Return after how many hang-ups a message is to blame: fewer, once its size was elsewhere."""
        if topic in self._too_long:
            return 1
        return _STRIKES - 1 if self._too_long else _STRIKES

    def unreachable(self) -> None:
        """Note that there is no connection though nothing was sent: no message is to blame."""
        self._strikes.clear()
        self._accused, self._guess = None, self._sure

    def take_news(self) -> list[str]:
        """Return the limits found since the last call, each once."""
        news, self._news = self._news, []
        return news

    def _expire(self, now_s: float) -> None:
        """Take for passed what is never answered and was sent long ago."""
        while self._unconfirmed:
            mid, message, sent_s = self._unconfirmed[0]
            if mid is not None or now_s - sent_s <= _ANSWER_S:
                return
            self._unconfirmed.popleft()
            self._pass(message)

    def _is_new(self, message: Message) -> bool:
        return (
            message.qos > self._passed_qos
            or (message.retain and not self._passed_retain)
            or message.packet_bytes > self._passed_bytes
            or message.topic not in self._passed_topics
        )

    def _pass(self, message: Message) -> None:
        self._passed_qos = max(self._passed_qos, message.qos)
        self._passed_retain |= message.retain
        self._passed_bytes = max(self._passed_bytes, message.packet_bytes)
        self._passed_topics[message.topic] = None
        if len(self._passed_topics) > _MAX_TOPICS:
            del self._passed_topics[next(iter(self._passed_topics))]
        self._strikes.pop(message.topic, None)
        if message.topic == self._accused:
            self._accused, self._sure = None, self._guess
            self._name_limits()

    def _blame(self, message: Message) -> None:
        """Try the next guess at what is wrong with a message; at last it is its size at this topic."""
        if self._accused != message.topic:
            self._accused = message.topic
            self._guesses = deque(self._guesses_for(message))
        if self._guesses:
            self._guess = self._guesses.popleft()
            return
        self._guess, self._accused = self._sure, None
        self._strikes.pop(message.topic)
        self._too_long[message.topic] = message.packet_bytes
        if message.topic.startswith(SUBSCRIBE):
            self._name("hangs up at a subscription", message.topic.removeprefix(SUBSCRIBE))
        else:
            self._name(
                f"hangs up at a message of {message.packet_bytes} bytes: too long, or not allowed,",
                message.topic,
            )
        self._name_limits()

    def _guesses_for(self, message: Message) -> list[BrokerLimits]:
        qos = message.qos > self._passed_qos
        retain = message.retain and not self._passed_retain
        guesses = []
        if qos:
            guesses.append(replace(self._guess, max_qos=0))
        if retain:
            guesses.append(replace(self._guess, retain=False))
        if qos and retain:
            guesses.append(replace(self._guess, max_qos=0, retain=False))
        return guesses

    def _refuse(self, message: Message) -> None:
        self._refused_bytes = min(self._refused_bytes or message.packet_bytes, message.packet_bytes)
        self._name_limits()

    def _name_limits(self) -> None:
        for clause in self.limits.describe(self._wanted_qos):
            self._name(clause)

    def _name(self, clause: str, topic: str = "") -> None:
        """Put a clause into the news, once for each of its kind and topic."""
        kind = f"{clause.split(' bytes')[0].rstrip('0123456789')} {topic}"
        if kind not in self._named and len(self._named) < _MAX_TOPICS:
            self._named.add(kind)
            self._news.append(f"the MQTT broker {clause}" + (f" at {topic}" if topic else ""))
