"""`edge-daemon config`: check, show or change the configuration, print the JSON Schema."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import msgspec

from edge_daemon.cli.main import add_action
from edge_daemon.config.schema import DEFAULT_PATH, LoadedConfig, load_config, load_with_sources, schema
from edge_daemon.config.yaml_edit import (
    Scalar,
    check_writable,
    read_config_text,
    with_value,
    write_config_text,
)
from edge_daemon.config.yaml_source import ConfigSource, apply_overrides
from edge_daemon.domain.errors import ConfigError
from edge_daemon.system.printable import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for action, summary in (("check", "find errors"), ("show", "show all values and their sources")):
        add_action(actions, action, action, summary)
    changes = add_action(actions, "set", "set", "write values into the file, which keeps its comments")
    changes.add_argument(
        "changes",
        nargs="+",
        metavar="SECTION.KEY=VALUE",
        help="such as web.listen=8080; all are written or none",
    )
    add_action(actions, "schema", "schema", "print the JSON Schema")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.action == "set":
        return _set(args)
    if args.action == "schema":
        print(json.dumps(schema(), indent=2))
        return 0
    loaded = load_with_sources(args.config, [*args.set, *args.more_set])
    if args.action == "check":
        check(loaded)
        path = str(loaded.path) if loaded.path else None
        print(json.dumps({"ok": True, "path": path}) if args.json else f"{path or 'defaults'}: ok")
    elif args.json:
        print(msgspec.json.encode(loaded.config).decode())
    else:
        for key, value, source in loaded.values():
            print(f"{key}: {json.dumps(value)}  # {source}")
    return 0


def _set(args: argparse.Namespace) -> int:
    """Write all changes, or none. Raises ConfigError for a configuration that they would make invalid."""
    path = args.config or DEFAULT_PATH
    before = after = read_config_text(path)
    for key, value in map(_read_change, args.changes):
        if not _has_value(path, key, value):
            after = with_value(after, key, value, str(path))
    load_config(path, args.changes)
    if after != before:
        check_writable(path)
        write_config_text(path, before, after)
    if args.json:
        print(json.dumps({"path": str(path), "changed": after != before}))
    else:
        print(f"{path}: {'changed' if after != before else 'unchanged, it has these values already'}")
    return 0


def _read_change(text: str) -> tuple[str, Scalar]:
    """Return the key, which is `section.name`, and the value. Raises ConfigError."""
    key, _, _ = text.partition("=")
    section, dot, name = key.strip().partition(".")
    data = apply_overrides(ConfigSource(), [text]).data.get(section)
    value = data.get(name, ...) if isinstance(data, dict) else ...
    if not dot or not isinstance(value, Scalar):
        raise ConfigError(f"{text}: `config set` writes one value of a section; write others into the file")
    return f"{section}.{name}", value


def _has_value(path: Path, key: str, value: Scalar) -> bool:
    """Return whether the file or the defaults give the key this value already."""
    try:
        config = load_config(path)
    except ConfigError:  # the change may repair it
        return False
    found: object = config
    for name in key.split("."):
        found = getattr(found, name, ...)
    return type(found) is type(value) and found == value


def check(loaded: LoadedConfig) -> None:
    """Raise the EdgeError of a start with this configuration; note what only the service can read."""
    from edge_daemon.app.preflight import refusals, unread_credentials

    unread = unread_credentials(loaded.config)
    if unread:
        note(f"{', '.join(unread)}: not read, as only the service can read its credentials")
    for refusal in refusals(loaded.config):
        if not isinstance(refusal.__cause__, PermissionError):
            raise refusal
        note(f"{refusal}: not checked, as it belongs to another user; the service may have permission")


def note(text: str) -> None:
    """Write a line that is not an error to standard error."""
    print(f"edge-daemon: {printable(text)}", file=sys.stderr)
