"""What the page is told of the device once, when it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.imaging.regions import Box


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """Names, places and settings. `regions` gives each region's box, None for the whole frame.

    `settings` is the effective configuration as plain data; it holds no secrets by the rule that none
    stands in the configuration. `space` is the embedding space in use. `broker` tells whether the MQTT
    broker is connected, None when MQTT is off; any thread may ask. Moved regions are saved to
    `regions_file`.
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
