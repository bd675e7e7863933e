"""Folders that other users can reach; pytest's own are private."""

from __future__ import annotations

from pathlib import Path


def open_to_others(folder: Path) -> None:
    """Let other users list and enter a folder of pytest and the folders above it."""
    for each in (folder, *folder.parents[:3]):
        each.chmod(each.stat().st_mode | 0o055)  # added only: one of them may be /tmp
