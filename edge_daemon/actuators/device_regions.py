"""The regions of the followed device, by its retained `info`."""

from __future__ import annotations

import logging

import msgspec

from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.topics import Topics
from edge_daemon.system.json_input import decode_json

log = logging.getLogger(__name__)


class _Info(msgspec.Struct):
    regions: list[str] = []


class DeviceRegions:
    """The region to follow: `region`, or the device's first.

    Until the device's `info` is received, the first of `topics` is followed. A region that the device does
    not have is logged once.
    """

    def __init__(self, topics: Topics, region: str | None) -> None:
        self._topic = topics.info
        self._region = region
        self._first = topics.regions[0]
        self._received: list[str] = []

    @property
    def followed(self) -> str:
        """Name of the region to follow."""
        return self._region or (self._received[0] if self._received else self._first)

    def read(self, message: Incoming) -> None:
        """Apply the device's `info`; other messages are ignored."""
        if message.topic != self._topic:
            return
        try:
            regions = decode_json(message.payload, _Info).regions
        except msgspec.DecodeError as exc:
            log.debug("ignored the device's info: %s", exc)
            return
        if not regions or regions == self._received:
            return
        self._received = regions
        if self._region not in (None, WHOLE_FRAME, *regions):
            names = ", ".join(regions)
            log.warning("the device has no region '%s'; its regions are %s", self._region, names)
