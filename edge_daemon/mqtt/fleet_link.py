"""The fleet over the broker: each device keeps its own examples at topics of its own, retained.

    edge_daemon/fleet/<group>/<device>/roll       which of its examples live
    edge_daemon/fleet/<group>/<device>/<chunk>    some of them, numbered from 0

A newcomer gets it all from the broker though the others sleep, and a broker that forgot all is told again.
"""

from __future__ import annotations

import logging
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final

from edge_daemon.domain.events import FleetSnapshot
from edge_daemon.fleet.chunks import CHUNK_BYTES, Chunks, packed
from edge_daemon.fleet.messages import decode_message
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.fleet.records import Reason, RecordSigner
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.system.rate_limit import RateLimit

CALM_S = 30.0
"""How long no message has been dropped before the retained ones are asked for again."""

_LOG_PER_S = 1 / 60
_KNOWN_PER_S, _KNOWN_BURST = 20.0, 1000.0  # all chunks of a peer, twice over, at once
_UNKNOWN_PER_S, _UNKNOWN_BURST_PER_PEER = 2.0, 4.0
_MAX_LOGGED = 64


class FleetLimits:
    """Bounds the work that a sender can cause. Belongs to the thread that owns the connection.

    A device has a rate of its own once a record of it was signed with the group's key; all others share one.
    So somebody without the key costs at most a few checks a second, whatever device names he invents.
    """

    def __init__(self, max_peers: int) -> None:
        self._max_known = 4 * max_peers
        self._known: OrderedDict[str, RateLimit] = OrderedDict()
        self._unknown = RateLimit(_UNKNOWN_PER_S, _UNKNOWN_BURST_PER_PEER * max_peers)
        self._logged: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._log: dict[str, RateLimit] = {}
        self._dropped_s: float | None = None

    def allows(self, device: str, now_s: float) -> bool:
        """Return whether a message of `device` may be checked at `now_s` (monotonic), and count it."""
        allowed = self._known.get(device, self._unknown).allows(now_s)
        if not allowed:
            self._dropped_s = now_s
        return allowed

    def trust(self, device: str) -> None:
        """Give a device that has the key a rate of its own; its next refusals may be logged again."""
        self._logged = OrderedDict.fromkeys(entry for entry in self._logged if entry[0] != device)
        if device not in self._known:
            self._known[device] = RateLimit(_KNOWN_PER_S, _KNOWN_BURST)
            if len(self._known) > self._max_known:
                self._known.popitem(last=False)

    def has_calmed(self, now_s: float) -> bool:
        """Return whether messages were dropped and none has been for 30 s; true once."""
        calmed = self._dropped_s is not None and now_s - self._dropped_s >= CALM_S
        if calmed:
            self._dropped_s = None
        return calmed

    def may_log(self, device: str, reason: str, now_s: float) -> bool:
        """Return whether to log a refusal: each device's reason once, each reason at most once a minute."""
        if (device, reason) in self._logged:
            return False
        if not self._log.setdefault(reason, RateLimit(_LOG_PER_S)).allows(now_s):
            return False
        self._logged[device, reason] = None
        if len(self._logged) > _MAX_LOGGED:
            self._logged.popitem(last=False)
        return True


logger = logging.getLogger(__name__)

ROOT = "edge_daemon/fleet"
WINDOW = 4
"""Most chunks sent and not yet acknowledged, so that labels need not wait for them."""

MAX_FOREIGN = 1000
"""Most topics in our name, but not ours, that are cleared at one connection."""

_ECHOES = 64
_REPAIRS_PER_S, _REPAIRS_BURST = (
    1 / 60,
    3.0,
)  # two devices with one id must not answer each other at full speed

_COMPLAINT = "what %r tells the fleet is refused: wrong %s"
_COMPLAINTS: Mapping[Reason, str] = {
    "signature": "%r signs with another key than ours; give every device of the group the same (%s)",
    "flood": "%r sends to the fleet faster than any device does; its messages are dropped (%s)",
    "space": "%r has another model, tap, fit or delegate than this device, and can teach it nothing (%s)",
}
_ROLL: Final = "roll"
_TOPIC = re.compile(rf"{ROOT}/([A-Za-z0-9_.-]{{1,64}})/([A-Za-z0-9_.-]{{1,64}})/({_ROLL}|\d{{1,5}})")
_HEADER_BYTES = 64


class FleetLink:
    """Sends what this device tells its group, and hears the others. Without a `seal` it is in no group.

    What stands at the broker in this device's name and is no longer so, as after it left a group, is removed.
    `tell` is for any thread; all else for the one that owns the connection. What was heard is left, checked,
    in the inbox.
    """

    def __init__(
        self,
        device: str,
        seal: RecordSigner | None,
        inbox: ReceiveQueue,
        max_peers: int = 20,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._seal = seal
        self._inbox = inbox
        self._lock = Lock()
        self._news: FleetSnapshot | None = None
        self._told: FleetSnapshot | None = None
        self._chunks = Chunks()
        self._unsent: dict[str, None] = {}
        self._in_flight: set[int] = set()
        self._echoes: deque[int] = deque(maxlen=_ECHOES)
        self._repairs = RateLimit(_REPAIRS_PER_S, _REPAIRS_BURST)
        self._limits = FleetLimits(max_peers)
        self._monotonic = monotonic

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to: our own topics in whatever group, and those of our group."""
        own = f"{ROOT}/+/{self._device}/+"
        return (own,) if self._seal is None else (own, f"{ROOT}/{self._seal.group}/+/+")

    @property
    def in_flight(self) -> int:
        """How many messages are sent and not yet acknowledged."""
        return len(self._in_flight)

    def tell(self, told: FleetSnapshot) -> None:
        """Take what the group should know from now on."""
        with self._lock:
            self._news = told

    def connected(self, max_packet: int | None) -> None:
        """Begin a connection: what the broker doesn't hold is told again, in messages that it takes."""
        limit = CHUNK_BYTES
        if max_packet is not None:
            topic = len(f"{ROOT}/{self._seal.group if self._seal else ''}/{self._device}/{_ROLL}".encode())
            limit = min(limit, max_packet - topic - _HEADER_BYTES)
        self._chunks = Chunks(limit)
        self._unsent.clear()
        self._in_flight.clear()
        self._inbox.connected()
        with self._lock:
            self._news, self._told = self._news or self._told, None

    def next(self, window: int) -> Message | None:
        """Return what to send now, if anything; at most `window` may go unacknowledged, and never above 4."""
        self._take_news()
        if self._seal is not None and self._told is None:
            return None  # what stands there may be true
        if not self._unsent or len(self._in_flight) >= min(window, WINDOW):
            return None
        topic = next(iter(self._unsent))
        del self._unsent[topic]
        payload = self._payload(topic)
        self._echoes.append(hash(payload))
        return Message(topic, payload, qos=1, retain=True)

    def sent(self, mid: int) -> None:
        """Remember that a message went out with the packet id `mid`, until it is acknowledged."""
        self._in_flight.add(mid)

    def acknowledged(self, mid: int) -> None:
        """Note what the broker has; other packet ids are passed over."""
        self._in_flight.discard(mid)

    def must_ask(self) -> bool:
        """Whether to subscribe again, because something found no room when it came, or came too fast."""
        if self._seal is None:
            return False
        if self._limits.has_calmed(self._monotonic()):
            self._inbox.miss()
        return self._inbox.take_missed()

    def take(self, incoming: Incoming) -> bool:
        """Hear a message, if it is one of the fleet's. A topic that no device has is passed over."""
        if not incoming.topic.startswith(f"{ROOT}/"):
            return False
        if (levels := _TOPIC.fullmatch(incoming.topic)) is None:
            return True
        group, device, name = levels.groups()
        ours = self._seal is not None and group == self._seal.group
        if device == self._device:
            if incoming.payload and (incoming.retained or self._is_forged(incoming)):
                self._meet_ourselves(incoming, ours)
        elif ours and incoming.payload:
            self._hear(device, incoming)
        elif ours and name == _ROLL:
            self._inbox.note_absent(device)
        return True

    def _is_forged(self, incoming: Incoming) -> bool:
        """Return whether somebody else just wrote at a topic of ours, and a repair is due."""
        return hash(incoming.payload) not in self._echoes and self._repairs.allows(self._monotonic())

    def _meet_ourselves(self, incoming: Incoming, ours: bool) -> None:
        """See what the broker kept in our name: what still holds needn't be told, the rest is put right."""
        self._take_news()  # else nothing of ours would hold yet
        if incoming.payload == self._payload(incoming.topic):
            self._unsent.pop(incoming.topic, None)
        elif len(self._unsent) < MAX_FOREIGN:
            self._unsent[incoming.topic] = None
        if ours and self._seal is not None and incoming.topic == self._topic(_ROLL):
            mark = hash(incoming.payload)
            parcel = decode_message(self._seal, self._device, incoming.payload)
            if parcel.roll is not None and not self._inbox.has(incoming.topic, mark):
                self._inbox.put(incoming.topic, parcel, mark)

    def _hear(self, device: str, incoming: Incoming) -> None:
        assert self._seal is not None
        mark = hash(incoming.payload)
        if self._inbox.has(incoming.topic, mark):
            self._inbox.note_present(device)
            return
        if not self._limits.allows(device, self._monotonic()):
            self._refuse(device, "flood")
            return
        parcel = decode_message(self._seal, device, incoming.payload)
        for reason in parcel.refused:
            self._refuse(device, reason)
        if parcel.examples or parcel.roll is not None:
            self._limits.trust(device)
            self._inbox.note_present(device)
            self._inbox.put(incoming.topic, parcel, mark)

    def _refuse(self, device: str, reason: Reason) -> None:
        self._inbox.refuse(reason)
        if self._limits.may_log(device, reason, self._monotonic()):
            logger.warning(_COMPLAINTS.get(reason, _COMPLAINT), device, reason)

    def _take_news(self) -> None:
        with self._lock:
            news, self._news = self._news, None
        if news is None:
            return
        if self._told is None or news.roll != self._told.roll:
            self._unsent[self._topic(_ROLL)] = None
        for chunk in sorted(self._chunks.update(news.records)):
            self._unsent[self._topic(str(chunk))] = None
        self._told = news

    def _topic(self, name: str) -> str:
        assert self._seal is not None
        return f"{ROOT}/{self._seal.group}/{self._device}/{name}"

    def _payload(self, topic: str) -> bytes:
        """Return what should stand at a topic of ours: nothing where we have nothing to tell."""
        if self._told is None or self._seal is None:
            return b""
        above, _, name = topic.rpartition("/")
        if f"{above}/{_ROLL}" != self._topic(_ROLL):
            return b""
        if name == _ROLL:
            return packed([self._told.roll])
        names = [str(chunk) for chunk in range(len(self._chunks))]
        return self._chunks.payload(names.index(name)) if name in names else b""
