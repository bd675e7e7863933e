"""`edge-daemon config`: check it, show where each value came from, print its JSON Schema."""

from __future__ import annotations

import argparse
import json
import sys

import msgspec

from edge_daemon.config.schema import LoadedConfig, load_with_sources, schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("action", choices=["check", "show", "schema"], help="what to do")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.action == "schema":
        print(json.dumps(schema(), indent=2))
        return 0
    effective = load_with_sources(args.config, args.set)
    if args.action == "check":
        check(effective)
        path = str(effective.path) if effective.path else None
        print(json.dumps({"ok": True, "path": path}) if args.json else f"{path or 'defaults'}: ok")
    elif args.json:
        print(msgspec.json.encode(effective.config).decode())
    else:
        for key, value, origin in effective.values():
            print(f"{key}: {json.dumps(value)}  # {origin}")
    return 0


def check(effective: LoadedConfig) -> None:
    """Raise the EdgeError that `run` would end with; what only the service can read is noted, not refused."""
    from edge_daemon.app.preflight import refusals, unread_credentials

    unread = unread_credentials(effective.config)
    if unread:
        note(f"{', '.join(unread)}: not read, as only the service has its credentials")
    for refusal in refusals(effective.config):
        if not isinstance(refusal.__cause__, PermissionError):
            raise refusal
        note(f"{refusal}: not checked, as another user's; the service may be allowed what this user is not")


def note(text: str) -> None:
    """Write a line to standard error that is no failure."""
    print(f"edge-daemon: {text}", file=sys.stderr)
