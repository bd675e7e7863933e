"""The fleet's part of the wiring: what the pipeline's thread and the network's have in common.

What only a device in a group uses is imported where it is wired.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge_daemon.config.fleet import FleetOptions
from edge_daemon.domain.interfaces import Clock, Embedder
from edge_daemon.example_store.peer_examples import PeerExamples, ever_joined
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.fleet.key import key_id, read_key
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.teaching.trainer import Trainer

if TYPE_CHECKING:
    from edge_daemon.fleet.records import RecordSigner
    from edge_daemon.fleet.sync import FleetSync
    from edge_daemon.mqtt.fleet_link import FleetLink


class FleetFactory:
    """A device's place in its group, if it is in one. Raises FleetError for a key that can't be used.

    Call `enter` before the store is learnt from, then `member` and `link`.
    """

    def __init__(self, options: FleetOptions, device: str, environ: Mapping[str, str]) -> None:
        self._options = options
        self._device = device
        self._key = None if options.group is None else read_key(options, environ)
        self._inbox = ReceiveQueue()
        self._was_member = False

    def enter(self, store: ExampleStore) -> None:
        """Note group and key in the store; peers' examples of another group or key are deleted."""
        self._was_member = ever_joined(store)
        if self._options.group is not None and self._key is not None:
            PeerExamples(store, "").join(self._options.group, key_id(self._key))

    def member(
        self, store: ExampleStore, teacher: Trainer, embedder: Embedder, clock: Clock
    ) -> FleetSync | None:
        """Make what the pipeline's thread does for the fleet; None without a group."""
        options, seal, inbox = self._options, self._seal(embedder.space), self._inbox
        if seal is None:
            return None
        from edge_daemon.fleet.quarantine import Quarantine
        from edge_daemon.fleet.replica import Replica
        from edge_daemon.fleet.sync import FleetPublisher, FleetSync

        peers = PeerExamples(store, seal.space)
        return FleetSync(
            device=self._device,
            group=seal.group,
            peers=peers,
            teacher=teacher,
            sharing=FleetPublisher(self._device, seal, peers, options.max_examples, clock),
            merging=Replica(
                peers, seal.space, embedder.size, inbox, options.max_examples, options.max_peers, clock
            ),
            probation=Quarantine(peers, teacher.pool_of),
            inbox=inbox,
            clock=clock,
        )

    def link(self, space: str) -> FleetLink | None:
        """Make what the network's thread does; None for a device that never was in a group."""
        seal = self._seal(space)
        if seal is None and not self._was_member:
            return None
        from edge_daemon.mqtt.fleet_link import FleetLink

        return FleetLink(self._device, seal, self._inbox, self._options.max_peers)

    def _seal(self, space: str) -> RecordSigner | None:
        if self._key is None or self._options.group is None:
            return None
        from edge_daemon.fleet.records import RecordSigner

        return RecordSigner(self._key, self._options.group, space)
