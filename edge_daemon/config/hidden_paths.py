"""Paths of the configuration in folders that `ProtectHome=` of the unit hides from the service."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from edge_daemon.config.schema import Config, leaves
from edge_daemon.config.yaml_source import dotted

_HIDDEN = ("/home", "/root", "/run/user")  # systemd.exec(5)


def hidden_paths(config: Config) -> Iterator[tuple[str, str]]:
    """Yield (hidden folder, fault and remedy) for each whole path that the service can't see."""
    for key, value in leaves(msgspec.to_builtins(config), ()):
        if isinstance(value, str) and (folder := hidden_folder(value)) is not None:
            yield (
                folder,
                f"{dotted(key)}: {value} is in {folder}, which the unit's ProtectHome= hides from the "
                "service; put the file elsewhere, such as in /var/lib/edge_daemon",
            )


def hidden_folder(path: str) -> str | None:
    """Return the hidden folder above a path, links resolved; None for a relative path and for others."""
    if not os.path.isabs(path):
        return None
    real = os.path.realpath(path)
    return next((folder for folder in _HIDDEN if real.startswith(f"{folder}/")), None)
