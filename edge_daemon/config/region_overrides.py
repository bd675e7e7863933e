"""Boxes of regions that were moved on the page: a file of its own, laid over the configuration.

It names regions and their boxes alone, so whatever else the configuration says keeps counting:

    left: [0.1, 0.2, 0.3, 0.4]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from edge_daemon.config.paths import expand, state_dir
from edge_daemon.config.yaml_source import ConfigSource, read_yaml
from edge_daemon.domain.errors import ConfigError
from edge_daemon.system.atomic_file import replacing_file

_HEADING = "# Regions as they were moved on the page. Delete this file to go back to the configuration.\n"


def saved_regions_path(layer: ConfigSource) -> Path:
    """Return where moved regions are kept: `web.regions_file`, or a file in the state directory."""
    section = layer.data.get("web")
    given = section.get("regions_file") if isinstance(section, dict) else None
    if not isinstance(given, str):
        return state_dir() / "regions.yaml"
    with suppress(ValueError):  # named with its line when all values are read
        given = expand(given)
    return Path(given)


def apply_region_overrides(layer: ConfigSource, path: Path) -> None:
    """Put the saved boxes in place of those that the layer gives the same regions.

    A region that is no longer configured is passed over. Raises ConfigError for a damaged file; boxes
    that make no sense are found where all boxes are checked, and named by this file's lines.
    """
    regions = layer.data.get("regions")
    if not isinstance(regions, list) or not path.exists():
        return
    saved = read_yaml(path)
    for index, region in enumerate(regions):
        name = region.get("name") if isinstance(region, dict) else None
        if isinstance(name, str) and name in saved.data:
            region["box"] = saved.data[name]
            mark = saved.marks[(name,)]
            for stale in [known for known in layer.marks if known[:3] == ("regions", index, "box")]:
                del layer.marks[stale]
            layer.marks["regions", index, "box"] = mark


def save_regions(path: Path, boxes: Mapping[str, Sequence[float]]) -> None:
    """Write the boxes so that a power cut leaves the old file or the new one. Raises ConfigError."""
    lines = [f"{name}: [{', '.join(f'{edge:g}' for edge in box)}]\n" for name, box in boxes.items()]
    try:
        with replacing_file(path) as file:
            file.write("".join([_HEADING, *lines]).encode())
    except OSError as exc:
        raise ConfigError(f"{path}: regions can't be saved: {exc.strerror}") from exc
