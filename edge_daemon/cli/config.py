"""`edge-daemon config`: check, show or change the configuration, reset the page's settings, JSON Schema."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge_daemon.cli.main import add_action
from edge_daemon.config.hidden_paths import hidden_paths
from edge_daemon.config.page_settings import PageSettings, write_page_settings
from edge_daemon.config.paths import service_state_dir
from edge_daemon.config.schema import DEFAULT_PATH, LoadedConfig, load_with_sources, schema
from edge_daemon.config.yaml_edit import (
    Scalar,
    check_writable,
    is_missing,
    read_config_text,
    with_value,
    write_config_text,
)
from edge_daemon.config.yaml_source import ConfigSource, apply_overrides
from edge_daemon.domain.errors import ConfigError
from edge_daemon.system.printable import printable

_SET = "config set"
"""Beginning of the errors of the action `set`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for action, summary in (
        ("check", "find the errors for which a start or reload would be refused, without opening a device"),
        ("show", "show all values and their sources"),
    ):
        add_action(actions, action, action, summary)
    changes = add_action(
        actions,
        "set",
        "set",
        "write values into the configuration file; comments stay, a missing file is created",
    )
    changes.add_argument(
        "changes",
        nargs="+",
        metavar="SECTION.KEY=VALUE",
        help="such as web.listen=8080; either all are written or none",
    )
    add_action(actions, "reset", "reset", "remove the settings and regions that were set on the page")
    add_action(actions, "schema", "schema", "print the JSON Schema")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.action == "set":
        return _set(args)
    if args.action == "schema":
        print(json.dumps(schema(), indent=2))
        return 0
    loaded = load_with_sources(args.config, [*args.set, *args.more_set], state_folder=service_state_dir())
    if args.action == "check":
        check(loaded)
        path = str(loaded.path) if loaded.path else None
        text = f"{path}: ok" if path else f"{DEFAULT_PATH}: no such file; the defaults are ok"
        print(json.dumps({"ok": True, "path": path}) if args.json else text)
    elif args.action == "reset":
        reset(loaded.page, as_json=args.json)
    elif args.json:
        print(json.dumps(msgspec.to_builtins(loaded.config)))
    else:
        for key, value, source in loaded.values():
            print(printable(f"{key}: {json.dumps(value, ensure_ascii=False)}  # {source}"))
    return 0


def _set(args: argparse.Namespace) -> int:
    """Write all changes, or none. Raises ConfigError for a configuration that they would make invalid."""
    path: Path = args.config or DEFAULT_PATH
    before = after = None if is_missing(path) else read_config_text(path)
    changes = {change.key: change for change in map(_read_change, args.changes)}  # the last of a key counts
    loaded = load_with_sources(
        path, args.changes, state_folder=service_state_dir(), may_lack=True, option=_SET
    )
    for change in changes.values():
        others = [each.text for each in changes.values() if each is not change]
        if before is None or not _is_given(path, change, others):
            after = with_value(after or "", change.key, change.value, str(path))
    if after is not None and after != before:
        check_writable(path)
        write_config_text(path, before, after)
    _note_hidden(loaded)
    for name in loaded.page.names():
        if name in changes:
            note(
                f"{name} was also set on the page, which comes first; `edge-daemon config reset` removes that"
            )
    if args.json:
        print(json.dumps({"path": str(path), "changed": after != before}))
    else:
        print(f"{path}: {_result(before, after)}")
    return 0


def _result(before: str | None, after: str | None) -> str:
    if before is None:
        return "made, as there was no such file"
    return "changed" if after != before else "unchanged, it has these values already"


class _Change(NamedTuple):
    """A value to write: its key, which is `section.name`, and the argument that it was read from."""

    key: str
    value: Scalar
    text: str


def _read_change(text: str) -> _Change:
    """Read SECTION.KEY=VALUE. Raises ConfigError."""
    key, _, _ = text.partition("=")
    section, dot, name = key.strip().partition(".")
    data = apply_overrides(ConfigSource(), [text], _SET).data.get(section)
    value = data.get(name, ...) if isinstance(data, dict) else ...
    if not dot or not isinstance(value, Scalar):
        raise ConfigError(
            f"{_SET} {text}: only one value of a section can be set; write others into the file"
        )
    return _Change(f"{section}.{name}", value, text)


def _is_given(path: Path, change: _Change, others: Sequence[str]) -> bool:
    """Return whether the file, the other changes or the defaults give the key this value already.

    The other changes count because a default depends on them: `camera.fps` on `camera.type`.
    """
    try:
        config = load_with_sources(path, others, lambda page: PageSettings(page.path, ConfigSource())).config
    except ConfigError:  # the change may repair it
        return False
    found: object = config
    for name in change.key.split("."):
        found = getattr(found, name, ...)
    return type(found) is type(change.value) and found == change.value


def check(loaded: LoadedConfig) -> None:
    """Raise the EdgeError of a start with this configuration; note what only the service can read.

    A camera's missing library is noted, too: a start waits for a camera that can't be opened.
    """
    from edge_daemon.app.preflight import refusals, unread_credentials
    from edge_daemon.camera.factory import missing_library

    _note_hidden(loaded)
    if missing := missing_library(loaded.config.camera):
        note(f"camera: {missing}")
    unread = unread_credentials(loaded.config)
    if unread:
        note(f"{', '.join(unread)}: not read, as only the service can read its credentials")
    for refusal in refusals(loaded.config):
        if not isinstance(refusal.__cause__, PermissionError):
            raise refusal
        note(f"{refusal}: not checked, as it belongs to another user; the service may have permission")


def _note_hidden(loaded: LoadedConfig) -> None:
    """Note paths of the service's configuration that the service can't see; this user may see them."""
    if loaded.path == DEFAULT_PATH:
        for _, fault in hidden_paths(loaded.config):
            note(fault)


def reset(page: PageSettings, *, as_json: bool) -> None:
    """Remove the file of the page's settings, and say which values it had. Raises ConfigError."""
    names = list(page.names())
    write_page_settings(PageSettings(page.path, ConfigSource()))
    if as_json:
        print(json.dumps({"path": str(page.path), "reset": names}))
    elif names:
        print(
            f"{page.path}: removed; it had set {', '.join(names)}. A running service takes the values of the"
        )
        print("configuration at a reload: sudo systemctl reload edge-daemon")
    else:
        print(f"{page.path}: nothing was set on the page")


def note(text: str) -> None:
    """Write a line that is not an error to standard error."""
    print(f"edge-daemon: {printable(text)}", file=sys.stderr)
