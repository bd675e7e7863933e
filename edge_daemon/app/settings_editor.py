"""Editor of the page's settings: checks, writes and applies a change, and describes the values in use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import get_args, get_type_hints

import msgspec

from edge_daemon.app.region_factory import available_triggers
from edge_daemon.app.supervisor import Supervisor
from edge_daemon.config.page_settings import (
    PAGE,
    SETTABLE,
    PageSettings,
    changed_page_settings,
    keep_aside,
    usable_page_settings,
    write_page_settings,
)
from edge_daemon.config.schema import ClassifierOptions, Config, LoadedConfig
from edge_daemon.config.validation import refuse_unknown_keys
from edge_daemon.config.yaml_source import OVERRIDE, ConfigSource, SourceLocation
from edge_daemon.domain.errors import ConfigError, ConflictError

log = logging.getLogger(__name__)

_FROM_PAGE = ConfigSource({}, {(): SourceLocation(PAGE)})

Load = Callable[[Callable[[PageSettings], PageSettings] | None], LoadedConfig]
"""Loads the configuration; its argument is `change_page` of `load_with_sources`."""


class SettingsEditor:
    """Changes what is set on the page, for every daemon of a supervisor. Any thread may use it.

    `fault` says why the latest change was taken back; it is empty after a change that works. With
    `temporary`, the file is deleted when the program ends.
    """

    def __init__(self, load: Load, supervisor: Supervisor, *, temporary: bool = False) -> None:
        self._load = load
        self._supervisor = supervisor
        self._temporary = temporary
        self.fault = ""

    def load(self) -> LoadedConfig:
        """Load the configuration for a reload. Raises ConfigError.

        If the settings in use can't be used with a changed configuration, that is an error of the reload; a
        start ignores them.
        """
        return self._load(usable_page_settings if self.used.fault is None else None)

    def change(self, changes: Mapping[str, object], revision: str) -> Mapping[str, object]:
        """Apply changes, as `changed_page_settings` does, to the settings with this `revision`.

        Returns the changed settings as `describe` does, once they are written; another daemon may still have
        to be built. Raises ConflictError if they were changed meanwhile, ConfigError with the line that the
        configuration would give, and the EdgeError of a check.
        """
        change = _PageChange(self, self._load, changes, revision)
        self._supervisor.apply(change)
        assert change.loaded is not None
        return self._described(change.loaded)

    @property
    def used(self) -> PageSettings:
        """The page's settings in use."""
        return self._supervisor.loaded.page

    def reload(self) -> None:
        """Read the configuration again."""
        self._supervisor.reload()

    @property
    def config(self) -> Config:
        """The configuration in use."""
        return self._supervisor.loaded.config

    def describe(self) -> dict[str, object]:
        """Return the configured values with their sources, the accepted words, and the revision.

        `in_use` has the trigger and the threshold that a request has changed since.
        """
        loaded, settings = self._supervisor.loaded, self._supervisor.settings_in_use
        used: dict[str, object] = {}
        if settings is not None:
            if settings.trigger != loaded.config.trigger:
                used["trigger"] = settings.trigger
            if settings.unknown != loaded.config.classifier.unknown:
                used["classifier.unknown"] = settings.unknown
        return {**self._described(loaded), "in_use": used}

    def _described(self, loaded: LoadedConfig) -> dict[str, object]:
        config = loaded.config
        return {
            "revision": loaded.page.revision,
            "values": {key: msgspec.to_builtins(getattr(config, key)) for key in SETTABLE},
            "sources": dict(_sources(loaded)),
            "choices": _choices(config),
            "text": config.combine_regions == "text",
            "crop": config.model.crop if config.model.features != "patch" else "squash",
            "file": None if self._temporary else str(loaded.page.path),
            "in_use": {},
            "fault": self.fault or ("" if loaded.page.fault is None else str(loaded.page.fault)),
        }


class _PageChange:
    """One change of the page's settings."""

    def __init__(
        self, editor: SettingsEditor, load: Load, changes: Mapping[str, object], revision: str
    ) -> None:
        self._editor = editor
        self._load = load
        self._changes = changes
        self._revision = revision
        self._replaces_unused_file = False
        self.loaded: LoadedConfig | None = None

    def load(self) -> LoadedConfig:
        """Return the changed configuration. Raises ConfigError, ConflictError."""
        self.loaded = self._load(self._changed)
        return self.loaded

    def commit(self) -> None:
        """Write the file. Raises ConfigError."""
        assert self.loaded is not None
        page = self.loaded.page
        if self._replaces_unused_file and page.path.exists():
            keep_aside(page.path)
        write_page_settings(page)
        self._editor.fault = ""
        log.info("set on the page: %s", ", ".join(sorted(self._changes)))

    def revert(self, working: LoadedConfig, reason: str) -> None:
        """Write the settings of the configuration that works."""
        self._editor.fault = reason
        try:
            write_page_settings(working.page)
        except ConfigError as exc:
            log.error("what was set on the page is not taken back: %s", exc)

    def _changed(self, found: PageSettings) -> PageSettings:
        """Return the changed settings; `found` are those of the file. Raises ConflictError."""
        used = self._editor.used
        self._replaces_unused_file = found.fault is not None or used.fault is not None
        former = used if self._replaces_unused_file else found
        if former.revision != self._revision:
            if former.revision != used.revision:
                self._editor.reload()  # the file was changed by another program
            raise ConflictError("someone else changed the settings meanwhile; they are shown now")
        changed = changed_page_settings(former, self._changes)
        # A null leaves no key behind that the configuration would check.
        refuse_unknown_keys(self._changes, msgspec.inspect.type_info(Config), _FROM_PAGE)
        return changed


def _sources(loaded: LoadedConfig) -> Iterator[tuple[str, str]]:
    """Yield the dotted key and the source of each value: `page`, `default`, `--set`, or file and line."""
    regions = {at.where for key, at in loaded.source.locations.items() if key[:1] == ("regions",)}
    origins = [
        (name, where)
        for name, _, where in loaded.values()
        if name.partition(".")[0] in SETTABLE and not name.startswith("regions")
    ]
    whole = loaded.source.locations.get(("regions",))
    named = OVERRIDE if OVERRIDE in regions else whole.where if whole else "default"
    for name, where in [*origins, ("regions", named)]:
        file = where.rpartition(":")[0]
        yield name, "page" if PAGE in (where, file) or file == str(loaded.page.path) else _short(where)


def _short(where: str) -> str:
    return where.rpartition("/")[2]


def _choices(config: Config) -> dict[str, list[str]]:
    """Return the words that each key accepts on this device."""
    classifier = get_type_hints(ClassifierOptions)
    return {
        "classifier.type": list(get_args(classifier["type"])),
        "classifier.metric": list(get_args(classifier["metric"])),
        "classifier.vote": list(get_args(classifier["vote"])),
        "scene": list(get_args(get_type_hints(Config)["scene"])),
        "trigger": available_triggers(config),
    }
