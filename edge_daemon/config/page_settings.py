"""Page settings: what was set on the page, in a file that is laid over the configuration.

The file has the form of the configuration, with the sections of `SETTABLE` alone:

    classifier:
      type: knn
    regions:
    - {name: left, box: [0.1, 0.2, 0.3, 0.4]}

The keys of a section replace those of the configuration one by one; `regions` replaces the whole list.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import yaml
from msgspec import Struct

from edge_daemon.config.paths import expand, state_dir
from edge_daemon.config.yaml_source import ConfigSource, KeyPath, SourceLocation, parse_yaml, read_yaml
from edge_daemon.domain.errors import ConfigError
from edge_daemon.system.atomic_file import replacing_file, sync_directory

log = logging.getLogger(__name__)

SETTABLE = ("classifier", "regions", "scene", "smoothing", "trigger")
"""Sections of the configuration that the page can set. No other section, such as `mqtt`, is accepted."""

PAGE = "the page"
"""Source of a value that is not in the file yet, in errors."""

_NAME = "settings.yaml"
_MOVED_REGIONS = "regions.yaml"
"""Beside `settings.yaml`: boxes by region name, from earlier versions. Read until `regions` is set."""
_HEADING = (
    "# Set on the page. It replaces values of the configuration; `edge-daemon config reset` removes it.\n"
)


class PageSettings(Struct, frozen=True):
    """The content of the file at `path`.

    `fault` says why the file is not used; `source` is empty then. `damaged` is the file that can't be used
    with any configuration.
    """

    path: Path
    source: ConfigSource
    fault: ConfigError | None = None
    damaged: Path | None = None

    @property
    def revision(self) -> str:
        """Hexadecimal digits that identify the content."""
        return hashlib.sha256(msgspec.json.encode(self.source.data, order="sorted")).hexdigest()[:12]

    def names(self) -> Iterator[str]:
        """Yield the dotted key of each value."""
        for section, value in self.source.data.items():
            if isinstance(value, dict):
                yield from (f"{section}.{key}" for key in value)
            else:
                yield section


def page_settings_path(source: ConfigSource, folder: Path | None = None) -> Path:
    """Return the file's path: `web.settings_file`, or in `folder`, by default the service's state directory.

    A program that a user starts has it beside the store that the configuration names: each of the user's
    configurations has its own settings then.
    """
    if given := _configured_path(source, "web", "settings_file"):
        return Path(given)
    is_service = folder is not None or "STATE_DIRECTORY" in os.environ
    if not is_service and (store := _configured_path(source, "store", "path")):
        return Path(f"{store}.{_NAME}")
    return (folder or state_dir()) / _NAME


def _configured_path(source: ConfigSource, section: str, key: str) -> str | None:
    values = source.data.get(section)
    given = values.get(key) if isinstance(values, dict) else None
    if not isinstance(given, str):
        return None
    with suppress(ValueError):  # reported with its line when all values are read
        return expand(given)
    return given


def read_page_settings(path: Path, configured: ConfigSource) -> PageSettings:
    """Read the file; without one, the boxes of `regions.yaml` for the regions of `configured`."""
    at = path
    try:
        source = _checked(read_yaml(path)) if os.path.exists(path) else ConfigSource()
        if "regions" not in source.data and path.name == _NAME:
            at = path.with_name(_MOVED_REGIONS)
            _add_moved_regions(source, at, configured)
    except ConfigError as exc:
        return PageSettings(path, ConfigSource(), exc, None if isinstance(exc.__cause__, OSError) else at)
    return PageSettings(path, source)


def usable_page_settings(found: PageSettings) -> PageSettings:
    """Return the settings of the file. Raises the ConfigError of a file that can't be used."""
    if found.fault is not None:
        raise found.fault
    return found


def changed_page_settings(former: PageSettings, changes: Mapping[str, object]) -> PageSettings:
    """Return the settings with some changed; null gives a key, or a section, back to the configuration."""
    _checked(ConfigSource(dict(changes), {(): SourceLocation(PAGE)}))  # before empty sections are left out
    data: dict[str, object] = dict(former.source.data)
    for section, value in changes.items():
        before = data.get(section)
        if isinstance(value, dict):
            merged = {**before, **value} if isinstance(before, dict) else value
            data[section] = {key: each for key, each in merged.items() if each is not None}
        else:
            data[section] = value
    data = {section: value for section, value in data.items() if value is not None and value != {}}
    source = parse_yaml(_as_yaml(data), PAGE)
    source.locations = {
        key_path: SourceLocation(PAGE, location.text) for key_path, location in source.locations.items()
    }
    return PageSettings(former.path, _checked(source))


def lay_over(written: ConfigSource, settings: ConfigSource) -> ConfigSource:
    """Return the configuration's source with the page's values, and with their locations."""
    result = ConfigSource(dict(written.data), dict(written.locations))
    for section, value in settings.data.items():
        before = result.data.get(section)
        if isinstance(value, dict):
            result.data[section] = {**(before if isinstance(before, dict) else {}), **value}
            replaced: list[KeyPath] = [(section, key) for key in value]
        else:
            result.data[section] = value
            replaced = [(section,)]
        for top in replaced:
            for stale in [known for known in result.locations if known[: len(top)] == top]:
                del result.locations[stale]
            result.locations |= {
                known: location for known, location in settings.locations.items() if known[: len(top)] == top
            }
    return result


def write_page_settings(settings: PageSettings) -> None:
    """Write the file, or remove it when nothing is set. Raises ConfigError.

    A power cut leaves the old content or the new one.
    """
    path = settings.path
    try:
        if settings.source.data:
            with replacing_file(path) as file:
                file.write((_HEADING + _as_yaml(settings.source.data)).encode())
        else:
            path.unlink(missing_ok=True)
        if path.name == _NAME:  # its boxes are in the new file, or were given back
            path.with_name(_MOVED_REGIONS).unlink(missing_ok=True)
        if path.parent.exists():
            sync_directory(path.parent)
    except OSError as exc:
        raise ConfigError(f"{path}: can't be written: {exc.strerror or exc}") from exc


def keep_aside(path: Path) -> None:
    """Rename a file that is not used to `<name>.unused-<number>`; a fault is logged."""
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.name}.unused-{number}")):
        number += 1
    try:
        path.rename(kept)
        sync_directory(path.parent)
    except OSError as exc:
        log.warning("%s: can't be renamed: %s", path, exc.strerror or exc)
    else:
        log.warning("%s: kept as %s", path, kept.name)


def _checked(source: ConfigSource) -> ConfigSource:
    """Return the source if it has settable sections alone. Raises ConfigError."""
    for section in source.data:
        if section not in SETTABLE:
            raise source.error((section,), f"can't be set on the page; known here: {', '.join(SETTABLE)}")
    return source


def _add_moved_regions(source: ConfigSource, path: Path, configured: ConfigSource) -> None:
    regions = configured.data.get("regions")
    if not isinstance(regions, list) or not os.path.exists(path):
        return
    saved = read_yaml(path)
    moved: list[object] = []
    boxes: dict[KeyPath, SourceLocation] = {}
    for index, region in enumerate(regions):
        name = region.get("name") if isinstance(region, dict) else None
        if isinstance(region, dict) and isinstance(name, str) and name in saved.data:
            moved.append({**region, "box": saved.data[name]})
            boxes["regions", index, "box"] = saved.locations[(name,)]
        else:
            moved.append(region)
    if boxes:
        source.data["regions"] = moved
        source.locations |= {
            key: at
            for key, at in configured.locations.items()
            if key[:1] == ("regions",) and key[:3] not in boxes
        }
        source.locations |= boxes


def _as_yaml(data: Mapping[str, object]) -> str:
    text: str = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, default_flow_style=None)
    return text if data else ""
