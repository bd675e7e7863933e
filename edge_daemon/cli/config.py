"""`edge-daemon config`: check it, show where each value came from, print its JSON Schema."""

from __future__ import annotations

import argparse
import json

import msgspec

from edge_daemon.config import schema, trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("action", choices=["check", "show", "schema"], help="what to do")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.action == "schema":
        print(json.dumps(schema(), indent=2))
        return 0
    effective = trace(args.config, args.set)
    if args.action == "check":
        path = str(effective.path) if effective.path else None
        print(json.dumps({"ok": True, "path": path}) if args.json else f"{path or 'defaults'}: ok")
    elif args.json:
        print(msgspec.json.encode(effective.config).decode())
    else:
        for key, value, origin in effective.values():
            print(f"{key}: {json.dumps(value)}  # {origin}")
    return 0
