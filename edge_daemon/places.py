"""Where state lives: systemd's directories for a service, the XDG ones for a person."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def state_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory for examples and pulled models; it need not exist yet."""
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    base = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME") or "/") / ".local/state"
    return Path(base).absolute() / "edge_daemon"
