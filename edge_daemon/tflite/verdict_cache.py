"""Cache of verdicts on model files, kept between starts as empty files."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return systemd's `$CACHE_DIRECTORY`, else `edge_daemon` in `$XDG_CACHE_HOME` or `~/.cache`."""
    given = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "edge_daemon"


def contains(kind: str, key: str) -> bool:
    """Return whether `put` was called for this key."""
    try:
        return (cache_folder() / kind / key).exists()
    except (OSError, RuntimeError):
        return False


def put(kind: str, key: str) -> None:
    """Store the key for later starts. Nothing is stored if the folder can't be written."""
    try:
        folder = cache_folder() / kind
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(folder / key, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o666))
    except (OSError, RuntimeError):
        return
