"""The fleet's parts: the pipeline thread's and the network thread's, with the queue between them.

Modules that only a device in a group uses are imported where they are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge_daemon.config.fleet import FleetOptions
from edge_daemon.domain.interfaces import Clock, Embedder
from edge_daemon.example_store.peer_examples import PeerExamples, was_ever_joined
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.fleet.key import key_id, read_key
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.teaching.trainer import Trainer

if TYPE_CHECKING:
    from edge_daemon.fleet.records import RecordSigner
    from edge_daemon.fleet.sync import FleetSync
    from edge_daemon.mqtt.fleet_link import FleetLink


class FleetFactory:
    """Builds the fleet's parts of a device, if it is in a group. Raises FleetError for an unusable key.

    Call `join` before examples are loaded from the store, then `build_sync` and `build_link`.
    """

    def __init__(self, options: FleetOptions, device: str, environ: Mapping[str, str]) -> None:
        self._options = options
        self._device = device
        self._key = None if options.group is None else read_key(options, environ)
        self._receive_queue = ReceiveQueue()
        self._was_member = False
        self._former: Mapping[str, int] = {}

    def join(self, store: ExampleStore) -> None:
        """Store group, key id and device id; peers' examples of another group or key are deleted."""
        self._was_member = was_ever_joined(store)
        if self._options.group is not None and self._key is not None:
            peers = PeerExamples(store, "")
            peers.join(self._options.group, key_id(self._key))
            peers.set_device(self._device)
            self._former = peers.former_devices()

    def build_sync(
        self, store: ExampleStore, trainer: Trainer, embedder: Embedder, clock: Clock
    ) -> FleetSync | None:
        """Build the part for the pipeline thread; None without a group."""
        options, signer, queue = self._options, self._signer(embedder.space), self._receive_queue
        if signer is None:
            return None
        from edge_daemon.fleet.quarantine import Quarantine
        from edge_daemon.fleet.replica import Replica
        from edge_daemon.fleet.sync import FleetPublisher, FleetSync

        peers = PeerExamples(store, signer.space)
        return FleetSync(
            device=self._device,
            group=signer.group,
            peers=peers,
            trainer=trainer,
            publisher=FleetPublisher(self._device, signer, peers, options.max_examples, clock),
            replica=Replica(
                peers, signer.space, embedder.size, queue, options.max_examples, options.max_peers, clock
            ),
            quarantine=Quarantine(peers, trainer.pool_of),
            receive_queue=queue,
            clock=clock,
        )

    def build_link(self, space: str) -> FleetLink | None:
        """Build the part for the network thread; None for a device that never was in a group."""
        signer = self._signer(space)
        if signer is None and not self._was_member:
            return None
        from edge_daemon.mqtt.fleet_link import FleetLink

        return FleetLink(self._device, signer, self._receive_queue, self._options.max_peers, self._former)

    def _signer(self, space: str) -> RecordSigner | None:
        if self._key is None or self._options.group is None:
            return None
        from edge_daemon.fleet.records import RecordSigner

        return RecordSigner(self._key, self._options.group, space)
