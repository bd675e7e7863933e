"""Files that come with the package: models, configurations, the systemd unit."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.errors import EdgeError

_PACKAGE = Path(__file__).resolve().parent


def shipped_dir(name: str) -> Path:
    """Return the folder `name` (models, config, systemd) of an installed wheel or of a checkout."""
    for folder in (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise EdgeError(f"the package is incomplete: its folder '{name}' is missing; install it again")
