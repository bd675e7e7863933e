"""The fleet's messages over MQTT: this device's live set and records, and those of its peers.

Messages are retained, so a new device receives them even when its peers are offline; if the broker loses them
they are republished. At a broker that does not send retained messages to new subscriptions, a device asks its
peers after each connect and after an overflow, and they publish all records again.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Lock
from types import MappingProxyType

from edge_daemon.config.topic_names import FLEET_ROOT
from edge_daemon.domain.events import FleetSnapshot
from edge_daemon.fleet.chunks import CHUNK_BYTES, Chunks, pack_records, unpack_records
from edge_daemon.fleet.live_set import LiveSet
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.fleet.records import FleetMessage, RecordSigner, RejectionReason, decode_message
from edge_daemon.mqtt.fleet_limits import FleetLimits
from edge_daemon.mqtt.fleet_topics import (
    ASK,
    LIVE_SET,
    ask_topic,
    fleet_filters,
    fleet_topic,
    parse_fleet_topic,
)
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.rate_limit import RateLimit

logger = logging.getLogger(__name__)

WINDOW = 4
"""Maximum number of unacknowledged chunks, so that labels don't queue behind them."""

MAX_STALE = 1000
"""Maximum number of stale topics of this device that are cleared per connection."""

RESEND_PAUSE_S = 30.0
"""Minimum time between two publications of all records; the requests of that time are answered together."""

DEFERRAL_S = 1.0
"""First pause after a message that the broker can't take now."""

_MAX_DEFERRAL_S = 30.0
_MAX_RESEND_DELAY_S = 2.0
"""Devices answer a request at different times."""

_MAX_SENT_HASHES = 64
# Two devices with the same id must not correct each other at full speed.
_REPAIRS_PER_S, _REPAIRS_BURST = 1 / 60, 3.0

_WARNING = "fleet records of %r are rejected: %s; see docs/fleet.md"
_WARNINGS: Mapping[RejectionReason, str] = {
    "malformed": "messages of %r to the fleet can't be read; does another program write there? (%s)",
    "signature": "%r signs with another key than ours; give every device of the group the same (%s)",
    "flood": "%r publishes to the fleet faster than any device does; its messages are dropped (%s)",
    "space": "%r has another model, model.features, model.crop or model.delegate than this device, so its"
    " examples can't be used (%s)",
}
_HEADER_BYTES = 64


class FleetLink:
    """Publishes this device's fleet messages and receives the peers'. Without a `signer` it is in no group.

    Stale retained messages of this device, such as those of a group that it has left, are cleared. `former`
    are its earlier ids in the group, each with the number of an empty live set that deletes its examples
    there. Another device that has taken such an id numbers its examples above.
    `set_snapshot` is for any thread; all other methods belong to the thread that owns the connection.
    Received messages are verified and put into the receive queue.
    """

    def __init__(
        self,
        device: str,
        signer: RecordSigner | None,
        receive_queue: ReceiveQueue,
        max_peers: int = 20,
        former: Mapping[str, int] = MappingProxyType({}),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._signer = signer
        self._receive_queue = receive_queue
        self._lock = Lock()
        self._pending: FleetSnapshot | None = None
        self._current: FleetSnapshot | None = None
        self._max_chunk = CHUNK_BYTES
        self._chunks = Chunks()
        self._unsent: dict[str, None] = {}
        self._in_flight: dict[int, Message] = {}
        """Unacknowledged messages by packet id."""
        self._deferral = Backoff(DEFERRAL_S, _MAX_DEFERRAL_S)
        self._deferred_until_s = -math.inf
        self._sent_hashes: deque[int] = deque(maxlen=_MAX_SENT_HASHES)
        self._repairs = RateLimit(_REPAIRS_PER_S, _REPAIRS_BURST)
        self._must_ask = False
        self._resend_s: float | None = None
        self._resent_s = -math.inf
        self._limits = FleetLimits(max_peers)
        self._former = former
        self._former_live_sets: dict[str, bytes] = {}
        if signer is not None:
            for each, number in former.items():
                record = signer.sign_live_set(each, LiveSet(number, frozenset()))
                self._former_live_sets[self._topic(LIVE_SET, each)] = pack_records([record])
        self._monotonic = monotonic

    @property
    def filters(self) -> tuple[str, ...]:
        """Topic filters to subscribe to: our own topics in every group, and all topics of our group."""
        return fleet_filters(self._device, None if self._signer is None else self._signer.group)

    @property
    def in_flight(self) -> int:
        """Number of messages sent and not yet acknowledged."""
        return len(self._in_flight)

    def set_snapshot(self, snapshot: FleetSnapshot) -> None:
        """Replace the records to publish."""
        with self._lock:
            self._pending = snapshot

    def connected(self, max_packet: int | None) -> None:
        """Start a connection: publish again what the broker does not hold, in chunks within `max_packet`."""
        limit = self._max_chunk
        if max_packet is not None:
            group = self._signer.group if self._signer else ""
            topic = len(fleet_topic(group, self._device, LIVE_SET).encode())
            limit = min(limit, max_packet - topic - _HEADER_BYTES)
        self._unsent = dict.fromkeys(self._former_live_sets)
        self._in_flight.clear()
        self._deferred_until_s = -math.inf
        self._must_ask = False
        self._receive_queue.connected()
        self._pack(limit)

    def _pack(self, limit: int) -> None:
        """Pack all records again, into chunks of at most `limit` bytes."""
        self._chunks = Chunks(limit)
        with self._lock:
            self._pending, self._current = self._pending or self._current, None

    def request_records(self) -> None:
        """Ask the peers for all records: the broker does not send the retained ones."""
        self._must_ask = self._signer is not None

    def next(self, window: int) -> Message | None:
        """Return the next message to send, if any; at most `window` and at most 4 are unacknowledged."""
        self._apply_pending()
        if self._signer is not None and self._current is None:
            return None  # the retained messages may be current
        if self._monotonic() < self._deferred_until_s:
            return None
        if self._must_ask and window > 0:
            assert self._current is not None
            self._must_ask = False
            assert self._signer is not None
            topic = ask_topic(self._device, self._signer.group)
            return Message(topic, pack_records([self._current.live_set]), qos=1, retain=False)
        self._queue_resend()
        if not self._unsent or len(self._in_flight) >= min(window, WINDOW):
            return None
        topic = next(iter(self._unsent))
        del self._unsent[topic]
        payload = self._payload(topic)
        self._sent_hashes.append(hash(payload))
        return Message(topic, payload, qos=1, retain=True)

    def sent(self, mid: int, message: Message) -> None:
        """Record the packet id of a sent message until it is acknowledged."""
        self._in_flight[mid] = message

    def acknowledged(self, mid: int) -> None:
        """Handle an acknowledgement; packet ids of other messages are ignored."""
        if self._in_flight.pop(mid, None) is not None:
            self._deferral.reset()

    def defer(self, mid: int) -> None:
        """Send a message again that the broker can't take now, after a pause for all messages."""
        message = self._in_flight.pop(mid, None)
        if message is None:
            return
        if (now_s := self._monotonic()) >= self._deferred_until_s:  # once for all that were in flight
            self._deferred_until_s = now_s + self._deferral.next_s()
        if message.retain:
            self._unsent[message.topic] = None
        else:
            self._must_ask = True

    def rejected_as_too_large(self, mid: int) -> None:
        """Pack the records into shorter chunks, as the broker takes no chunk of this size."""
        if (message := self._in_flight.pop(mid, None)) is not None:
            self.shorten_chunks(message)

    def shorten_chunks(self, message: Message) -> None:
        """Pack the records into chunks of half the size of a message that is too large."""
        limit = len(message.payload) // 2
        is_chunk = message.topic.rpartition("/")[2].isdecimal()  # the live set is one record
        if is_chunk and limit < self._max_chunk:  # else it is a single record, or an earlier one was as large
            self._max_chunk = limit
            self._pack(limit)

    def must_resubscribe(self) -> bool:
        """Return once whether to request all messages: some were dropped or exceeded the queue."""
        if self._signer is None:
            return False
        if self._limits.pop_calm(self._monotonic()):
            self._receive_queue.mark_overflow()
        return self._receive_queue.pop_overflow()

    def handle(self, incoming: Incoming) -> bool:
        """Process a message and return True if its topic is the fleet's. Invalid fleet topics are ignored."""
        if not incoming.topic.startswith(f"{FLEET_ROOT}/"):
            return False
        if (levels := parse_fleet_topic(incoming.topic)) is None:
            return True
        group, device, name = levels
        in_group = self._signer is not None and group == self._signer.group
        if name == ASK:
            if in_group and device != self._device and incoming.payload and not incoming.retained:
                self._handle_request(device, incoming)
        elif device == self._device:
            if incoming.payload and (incoming.retained or self._is_forged(incoming)):
                self._reconcile_own(incoming, in_group)
        elif in_group and incoming.payload:
            self._receive(device, incoming)
        elif in_group and name == LIVE_SET:
            self._receive_queue.mark_absent(device)
        return True

    def _handle_request(self, device: str, incoming: Incoming) -> None:
        """Plan to publish all records again if a device with the key asks for them."""
        assert self._signer is not None
        now_s = self._monotonic()
        if self._resend_s is None and self._limits.allows(device, now_s):
            message = decode_message(self._signer, device, incoming.payload)
            if unpack_records(incoming.payload) and not message.rejections:
                self._limits.trust(device)
                earliest_s = max(now_s, self._resent_s + RESEND_PAUSE_S)
                self._resend_s = earliest_s + random.uniform(0, _MAX_RESEND_DELAY_S)

    def _queue_resend(self) -> None:
        """Queue all records again when a request is due."""
        now_s = self._monotonic()
        if self._resend_s is None or now_s < self._resend_s:
            return
        self._resend_s, self._resent_s = None, now_s
        for name in (LIVE_SET, *map(str, range(len(self._chunks)))):
            self._unsent[self._topic(name)] = None
        self._unsent |= dict.fromkeys(self._former_live_sets)

    def _is_forged(self, incoming: Incoming) -> bool:
        """Return whether another client published at a topic of ours, and a repair is allowed now."""
        return hash(incoming.payload) not in self._sent_hashes and self._repairs.allows(self._monotonic())

    def _reconcile_own(self, incoming: Incoming, in_group: bool) -> None:
        """Compare a retained message of ours with the current payload of its topic; replace it if stale."""
        self._apply_pending()  # without a snapshot every message would be stale
        if incoming.payload == self._payload(incoming.topic):
            self._unsent.pop(incoming.topic, None)
        elif len(self._unsent) < MAX_STALE:
            self._unsent[incoming.topic] = None
        if in_group and self._signer is not None and incoming.topic == self._topic(LIVE_SET):
            payload_hash = hash(incoming.payload)
            message = decode_message(self._signer, self._device, incoming.payload)
            unchanged = self._receive_queue.is_unchanged(incoming.topic, payload_hash)
            if message.live_set is not None and not unchanged:
                self._receive_queue.put(incoming.topic, message, payload_hash)

    def _receive(self, device: str, incoming: Incoming) -> None:
        assert self._signer is not None
        payload_hash = hash(incoming.payload)
        if self._receive_queue.is_unchanged(incoming.topic, payload_hash):
            self._receive_queue.mark_present(device)
            return
        if not self._limits.allows(device, self._monotonic()):
            self._reject(device, "flood")
            return
        message = decode_message(self._signer, device, incoming.payload)
        for reason in message.rejections:
            self._reject(device, reason)
        if message.examples or message.live_set is not None:
            self._limits.trust(device)
        if device in self._former:
            message = self._without_own(incoming, message)
        if message.examples or message.live_set is not None:
            self._receive_queue.mark_present(device)
            self._receive_queue.put(incoming.topic, message, payload_hash)

    def _without_own(self, incoming: Incoming, message: FleetMessage) -> FleetMessage:
        """Return a former id's message without this device's records; clear a chunk without others."""
        last = self._former[message.device]
        examples = tuple(each for each in message.examples if each.number > last)
        live_set = message.live_set
        if live_set is not None and live_set.number <= last:
            live_set = None
        elif live_set is not None:
            self._former_live_sets.pop(incoming.topic, None)  # another device has the id now
        only_own = bool(message.examples) and not (examples or message.live_set or message.rejections)
        if only_own and incoming.retained and len(self._unsent) < MAX_STALE:
            self._unsent[incoming.topic] = None
        return replace(message, examples=examples, live_set=live_set)

    def _reject(self, device: str, reason: RejectionReason) -> None:
        self._receive_queue.count_rejection(reason)
        if self._limits.may_log(device, reason, self._monotonic()):
            logger.warning(_WARNINGS.get(reason, _WARNING), device, reason)

    def _apply_pending(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, None
        if pending is None:
            return
        if self._current is None or pending.live_set != self._current.live_set:
            self._unsent[self._topic(LIVE_SET)] = None
        for chunk in sorted(self._chunks.update(pending.records)):
            self._unsent[self._topic(str(chunk))] = None
        self._current = pending

    def _topic(self, name: str, device: str | None = None) -> str:
        assert self._signer is not None
        return fleet_topic(self._signer.group, device or self._device, name)

    def _payload(self, topic: str) -> bytes:
        """Return the current payload of a topic of ours; empty for a topic that is not in use."""
        if topic in self._former_live_sets:
            return self._former_live_sets[topic]
        if self._current is None or self._signer is None:
            return b""
        above, _, name = topic.rpartition("/")
        if f"{above}/{LIVE_SET}" != self._topic(LIVE_SET):
            return b""
        if name == LIVE_SET:
            return pack_records([self._current.live_set])
        names = [str(chunk) for chunk in range(len(self._chunks))]
        return self._chunks.payload(names.index(name)) if name in names else b""
