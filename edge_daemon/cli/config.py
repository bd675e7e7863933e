"""`edge-daemon config`: check the configuration, show the source of each value, print the JSON Schema."""

from __future__ import annotations

import argparse
import json
import sys

import msgspec

from edge_daemon.config.schema import LoadedConfig, load_with_sources, schema
from edge_daemon.system.printable import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "action",
        choices=["check", "show", "schema"],
        help="check: find errors; show: values and their sources; schema: JSON Schema",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.action == "schema":
        print(json.dumps(schema(), indent=2))
        return 0
    loaded = load_with_sources(args.config, args.set)
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
