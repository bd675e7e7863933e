"""Directories of state and package data, and the expansion of `~` and `$NAME` in paths."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from edge_daemon.domain.errors import EdgeError

SERVICE_STATE = Path("/var/lib/edge_daemon")
"""State folder of the installed service."""


def state_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory for examples and downloaded models, which need not exist yet.

    It is systemd's for a service, and for the user of the installed service, else one of the XDG base
    directories.
    """
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    if "XDG_STATE_HOME" not in environment and _is_service_user():
        return SERVICE_STATE
    base = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME") or "/") / ".local/state"
    return Path(base).absolute() / "edge_daemon"


def managed_state_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """Return `state_dir`; for root, who manages the installed service, that of the service."""
    return service_state_dir(environment) or state_dir(environment)


def service_state_dir(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the service's directory for the service, its user and root, who manages it; None for others."""
    if "STATE_DIRECTORY" in environment:
        return state_dir(environment)
    is_manager = (os.geteuid() == 0 and SERVICE_STATE.is_dir()) or _is_service_user()
    return SERVICE_STATE if is_manager and "XDG_STATE_HOME" not in environment else None


def _is_service_user() -> bool:
    try:
        owner = SERVICE_STATE.stat().st_uid
    except OSError:
        return False
    return owner == os.geteuid() != 0


def expand(path: str) -> str:
    """Replace `~`, `~user`, `$NAME` and `${NAME}`; a variable that isn't set stays as it is.

    Raises ValueError for a user without a known home directory.
    """
    expanded = os.path.expanduser(os.path.expandvars(path))
    if expanded.startswith("~"):
        raise ValueError(
            f"'{path}': no home directory is known for {path.split('/')[0]}; write the whole path"
        )
    return expanded


_PACKAGE = Path(__file__).resolve().parents[1]


def package_data(name: str) -> Path:
    """Return the folder `name` (models, config, systemd) of an installed wheel or of a checkout."""
    for folder in (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise EdgeError(f"the package is incomplete: its folder '{name}' is missing; install it again")
