"""Region overrides: boxes that were changed on the page, in a file that is applied to the configuration.

The file has the regions' names and boxes, and overrides nothing else:

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


def region_overrides_path(source: ConfigSource) -> Path:
    """Return the path of the overrides: `web.regions_file`, or a file in the state directory."""
    section = source.data.get("web")
    given = section.get("regions_file") if isinstance(section, dict) else None
    if not isinstance(given, str):
        return state_dir() / "regions.yaml"
    with suppress(ValueError):  # reported with its line when all values are read
        given = expand(given)
    return Path(given)


def apply_region_overrides(source: ConfigSource, path: Path) -> None:
    """Replace the boxes of the source's regions by the saved ones.

    A region that is no longer configured is ignored. Raises ConfigError for a damaged file. Invalid boxes
    are found by the check of all boxes and reported with the lines of this file.
    """
    regions = source.data.get("regions")
    if not isinstance(regions, list) or not path.exists():
        return
    saved = read_yaml(path)
    for index, region in enumerate(regions):
        name = region.get("name") if isinstance(region, dict) else None
        if isinstance(name, str) and name in saved.data:
            region["box"] = saved.data[name]
            location = saved.locations[(name,)]
            for stale in [known for known in source.locations if known[:3] == ("regions", index, "box")]:
                del source.locations[stale]
            source.locations["regions", index, "box"] = location


def save_region_overrides(path: Path, boxes: Mapping[str, Sequence[float]]) -> None:
    """Write the boxes; a power cut leaves the old file or the new one. Raises ConfigError."""
    lines = [f"{name}: [{', '.join(f'{edge:g}' for edge in box)}]\n" for name, box in boxes.items()]
    try:
        with replacing_file(path) as file:
            file.write("".join([_HEADING, *lines]).encode())
    except OSError as exc:
        raise ConfigError(f"{path}: regions can't be saved: {exc.strerror}") from exc
