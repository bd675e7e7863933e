"""The replica of the peers' examples: a grow-only set with tombstones; message order is irrelevant."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Example
from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.fleet.live_set import EMPTY, LiveSet, is_far_ahead, newer, pack, unpack
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.fleet.records import FleetMessage, RejectionReason, RemoteExample

logger = logging.getLogger(__name__)

MAX_PEER_LABELS = 200
"""Labels accepted from one peer: time and memory of the evaluation grow with examples times labels."""

MAX_LABELS = 1000
"""Labels accepted from all peers together."""

_MAX_REJECTED_PEERS = 64


@dataclass(frozen=True, slots=True)
class MergeResult:
    """Effect of a message on the store: the examples added, and the ids of those deleted."""

    added: list[Example] = field(default_factory=list)
    deleted: Sequence[int] = ()


class Replica:
    """Merges fleet messages into the store; rejections are counted in the queue. Belongs to one thread.

    An example is kept unless its device's latest live set has deleted its number; of the live sets the latest
    is kept. At most `max_peers` devices with `max_examples` each are kept; `make_room` removes a device that
    has left in favour of one that was rejected. Embeddings have `size` numbers.
    """

    def __init__(
        self,
        peers: PeerExamples,
        space: str,
        size: int,
        receive_queue: ReceiveQueue,
        max_examples: int,
        max_peers: int,
        clock: Clock,
    ) -> None:
        self._peers = peers
        self._space = space
        self._size = size
        self._receive_queue = receive_queue
        self._max_examples = max_examples
        self._max_peers = max_peers
        self._clock = clock
        self._rejected_peers: dict[str, None] = {}
        self._labels: set[tuple[str, str]] | None = None
        self._devices = {device for device, _, _ in peers.peer_counts()} | peers.peers_with_live_set()
        self._known: dict[str, dict[int, int]] = {}
        self._live_sets: dict[str, LiveSet] = {}
        self._full: set[str] = set()
        self._out_of_labels: set[str] = set()
        self._peer_limit_logged = False

    def merge(self, message: FleetMessage) -> MergeResult:
        """Apply a message completely or not at all. Raises StoreError."""
        device, live_set = message.device, message.live_set
        if device not in self._devices and not message.examples and not (live_set and live_set.live):
            return MergeResult()  # nothing to keep, so the device takes no place
        if device not in self._devices and len(self._devices) >= self._max_peers:
            self._reject_peer(device)
            return MergeResult()
        self._load_peer(device)
        deleted = self._apply_live_set(device, live_set) if live_set is not None else ()
        new: dict[int, RemoteExample] = {}
        for example in message.examples:
            if example.number in new:
                self._reject("number")
            elif example.number not in self._known[device]:
                new[example.number] = example
        acceptable = [each for each in new.values() if self._is_acceptable(device, each)]
        added = self._keep(device, self._select(device, acceptable))
        if self._known[device] or self._live_sets[device] is not EMPTY:
            self._devices.add(device)
        return MergeResult(added, deleted)

    def request_rejected(self) -> None:
        """Request rejected examples again if labels have become free since. Raises StoreError."""
        if self._out_of_labels:
            self._labels = self._peers.labels()
            if any(self._can_add_label(device) for device in self._out_of_labels):
                self._out_of_labels.clear()
                self._receive_queue.mark_overflow()

    def make_room(self) -> Sequence[int]:
        """Remove one peer if another was rejected: one without examples, else one no longer at the broker.

        Call it once this connection has had time to receive every retained message. Returns the ids of the
        deleted examples. Raises StoreError.
        """
        if not self._rejected_peers:
            return ()
        empty = self._devices - {device for device, _, _ in self._peers.peer_counts()}
        absent = {device for device in self._devices if not self._receive_queue.is_present(device)}
        leaver = min(empty | absent, key=lambda device: (device not in empty, device), default=None)
        if leaver is None:
            return ()
        logger.warning("peer %r has no examples or left the broker; it is removed to admit another", leaver)
        deleted = self._peers.remove_peer(leaver)
        self._devices.discard(leaver)
        self._known.pop(leaver, None)
        self._live_sets.pop(leaver, None)
        self._full.discard(leaver)
        self._out_of_labels.clear()
        self._rejected_peers.clear()
        self._labels = None
        self._receive_queue.mark_overflow()
        return deleted

    def _load_peer(self, device: str) -> None:
        if device not in self._known:
            kept = self._peers.live_set(device)
            self._live_sets[device] = LiveSet(kept[0], unpack(kept[1])) if kept else EMPTY
            self._peers.delete_damaged(device)
            self._known[device] = self._peers.ids_by_number(device)

    def _apply_live_set(self, device: str, live_set: LiveSet) -> list[int]:
        previous = self._live_sets[device]
        if self._is_far_ahead(device, live_set.number):
            return []
        if live_set.number < previous.number:
            self._reject("replayed")
        if newer(previous, live_set) is previous:
            return []
        known = self._known[device]
        deleted = {number: one for number, one in known.items() if live_set.is_deleted(number)}
        self._peers.delete(device, live_set.number, pack(live_set.live), deleted.values())
        self._live_sets[device] = live_set
        self._labels = None
        if deleted and device in self._full:
            self._full.discard(device)
            self._receive_queue.mark_overflow()  # rejected examples may fit now
        self._known[device] = {number: one for number, one in known.items() if number not in deleted}
        return list(deleted.values())

    def _is_acceptable(self, device: str, example: RemoteExample) -> bool:
        if example.embedding.size != self._size:
            self._reject("size")
            return False
        if self._is_far_ahead(device, example.number):
            return False
        if self._live_sets[device].is_deleted(example.number):
            self._reject("removed")
            return False
        return True

    def _is_far_ahead(self, device: str, number: int) -> bool:
        known = max(self._live_sets[device].number, max(self._known[device], default=0))
        ahead = is_far_ahead(number, known, self._clock.utc().timestamp())
        if ahead:
            self._reject("number")
            # Our own clock may be wrong: process all messages again at the next connection.
            self._receive_queue.clear_payload_hashes()
        return ahead

    def _select(self, device: str, examples: list[RemoteExample]) -> list[RemoteExample]:
        """Return the examples that fit into the limits of examples and labels; reject the others."""
        room = max(0, self._max_examples - len(self._known[device]))
        fitting: list[RemoteExample] = []
        for index, example in enumerate(examples):
            if len(fitting) == room:
                self._reject_excess(device, len(examples) - index)
                break
            if self._has_room_for_label(device, example.label):
                fitting.append(example)
            else:
                self._out_of_labels.add(device)
                self._reject("full")
        return fitting

    def _has_room_for_label(self, device: str, label: str) -> bool:
        """Return whether the label is known or can be added, and add it."""
        if self._labels is None:
            self._labels = self._peers.labels()
        if (device, label) not in self._labels and not self._can_add_label(device, label):
            return False
        self._labels.add((device, label))
        return True

    def _can_add_label(self, device: str, label: str | None = None) -> bool:
        """Return whether the device can have another label: this one, or one that no peer has."""
        labels = self._labels or set()
        of_device = sum(owner == device for owner, _ in labels)
        return of_device < MAX_PEER_LABELS and len({each for _, each in labels} | {label}) <= MAX_LABELS

    def _keep(self, device: str, examples: list[RemoteExample]) -> list[Example]:
        known = self._known[device]
        records = [self._record(device, example) for example in examples]
        kept = self._peers.add(records) if records else []
        known |= {remote.number: example.id for remote, example in zip(examples, kept, strict=False)}
        return kept

    def _record(self, device: str, example: RemoteExample) -> ExampleRecord:
        return ExampleRecord(
            example.embedding,
            example.label,
            self._space,
            example.region,
            f"{device}/{example.burst}" if example.burst else "",
            "fleet",
            created_at=example.created_at,
            origin=device,
            number=example.number,
        )

    def _reject_excess(self, device: str, count: int) -> None:
        if device not in self._full:
            logger.warning(
                "peer %r has more examples than fleet.max_examples: %d; the others are rejected",
                device,
                self._max_examples,
            )
        self._full.add(device)
        for _ in range(count):
            self._reject("full")

    def _reject_peer(self, device: str) -> None:
        if not self._peer_limit_logged:
            logger.warning(
                "peer %r is rejected: there are fleet.max_peers: %d others", device, self._max_peers
            )
        self._peer_limit_logged = True
        if len(self._rejected_peers) < _MAX_REJECTED_PEERS:
            self._rejected_peers[device] = None
        self._reject("full")

    def _reject(self, reason: RejectionReason) -> None:
        self._receive_queue.count_rejection(reason)
