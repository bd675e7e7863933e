"""Paths of the real models, images and data, which the project may not contain."""

from __future__ import annotations

import os
from pathlib import Path


def shared_path(relative: str) -> Path:
    """Return a path under `$EDGE_DAEMON_SHARED` (default: `shared` beside the checkout).

    Raises FileNotFoundError, so that a test that needs it fails instead of passing unseen.
    """
    root = os.environ.get("EDGE_DAEMON_SHARED") or Path(__file__).resolve().parents[3] / "shared"
    path = Path(root) / relative
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing; set EDGE_DAEMON_SHARED to where models, images and data lie"
        )
    return path
