"""Static information about the device, collected once when the page is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_daemon.imaging.image_io import THUMBNAIL_PX
from edge_daemon.imaging.regions import Box


class SettingsEditor(Protocol):
    """Changes settings of the configuration. Any thread may use it."""

    def change(self, changes: Mapping[str, object], revision: str) -> Mapping[str, object]:
        """Check, keep and apply changes by section; null gives a value back to the configuration.

        `revision` is that of the settings that the client has seen. Returns the changed settings. Raises
        ConflictError if there is another revision by now, EdgeError with the reason of a refusal.
        """

    def describe(self) -> Mapping[str, object]:
        """Return the values in use with their sources, the accepted words, and the revision."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """Names, paths and settings of the device.

    `regions` gives the box of each region, None for the whole frame. `config` returns the effective
    configuration as plain data; it holds no secrets, since the configuration holds none. `space` is the id of
    the embedding space in use. `broker` returns whether the MQTT broker is connected, None when MQTT is off;
    `broker_fault` the reason of a lost or failed connection. Any thread may call these. `settings` is None
    where the page can't change them. The pictures of examples have at most `thumbnail_px` a side.
    """

    name: str
    version: str
    model: str
    classifier: str
    regions: Mapping[str, Box | None]
    space: str
    store_path: Path
    config: Callable[[], Mapping[str, object]]
    broker: Callable[[], bool | None]
    settings: SettingsEditor | None = None
    thumbnail_px: int = THUMBNAIL_PX
    broker_fault: Callable[[], str] = str
