"""Static information about the device, collected once when the page is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.imaging.regions import Box


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """Names, paths and settings of the device.

    `regions` gives the box of each region, None for the whole frame. `settings` is the effective
    configuration as plain data; it holds no secrets, since the configuration holds none. `space` is the id of
    the embedding space in use. `broker` returns whether the MQTT broker is connected, None when MQTT is off;
    any thread may call it. Moved regions are saved to `regions_file`.
    """

    name: str
    version: str
    model: str
    classifier: str
    regions: Mapping[str, Box | None]
    space: str
    store_path: Path
    regions_file: Path
    settings: Mapping[str, object]
    broker: Callable[[], bool | None]
