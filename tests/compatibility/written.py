"""The files that version 0.1.0 wrote, and what they hold: see written_by_0_1_0/README.md."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from base64 import b64decode
from contextlib import closing
from pathlib import Path
from typing import Any

WRITTEN = Path(__file__).parent / "written_by_0_1_0"
EXPECTED: dict[str, Any] = json.loads((WRITTEN / "expected.json").read_text("utf-8"))
KEY, GROUP = bytes(range(32)), "sorters"
[SPACE] = {row["space"] for row in EXPECTED["rolls"]}
"""The embedding space of the fleet and of most examples."""


def copy_of(name: str, folder: Path) -> Path:
    """Return a copy of a kept file or folder that may be changed."""
    source, target = WRITTEN / name, folder / Path(name).name
    return Path(shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target))


def digest(content: bytes) -> str:
    """Return a length and the first half of the SHA-256, as blobs are described in expected.json."""
    return f"{len(content)} {hashlib.sha256(content).hexdigest()[:32]}"


def raw_rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Return rows as SQLite holds them, read without the package."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def retained() -> dict[str, bytes]:
    """Return what the broker kept, by topic."""
    messages = json.loads((WRITTEN / "retained.json").read_text("utf-8"))
    return {
        each["topic"]: each["text"].encode() if "text" in each else b64decode(each["base64"])
        for each in messages
    }


def fleet_messages(device: str) -> dict[str, bytes]:
    """Return what the broker kept of a device's examples, by topic."""
    return {topic: payload for topic, payload in retained().items() if f"fleet/{GROUP}/{device}/" in topic}
