"""Digest of the files that last passed in the emulated machine; CI runs the machine when it differs.

python -m scripts.device_box.last_pass    exit code 0 if the current files have passed
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

RECORD = Path("scripts/device_box/last_pass.txt")
RELEVANT = (
    "edge_daemon/board",
    "edge_daemon/camera",
    "edge_daemon/panel",
    "edge_daemon/daemon",
    "scripts/device-box",
    "scripts/device_box",
    "scripts/install",
    "scripts/lib",
    "systemd",
    "tests/box",
)


def digest() -> str:
    """Return a digest of the names, contents and executable bits of the relevant files."""
    total = hashlib.sha256()
    for path in sorted(_files()):
        executable = bool(path.stat().st_mode & 0o100)
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path} {executable} {content}\n".encode())
    return total.hexdigest()


def _files() -> Iterator[Path]:
    for name in RELEVANT:
        root = Path(name)
        for path in [root] if root.is_file() else root.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path != RECORD:
                yield path


def record_pass() -> None:
    """Record that the current files have passed."""
    RECORD.write_text(f"{digest()}\n")


def main() -> int:
    """Compare the current files with the record."""
    passed = RECORD.is_file() and RECORD.read_text().strip() == digest()
    print(
        "the emulated machine has passed with these files"
        if passed
        else "files of the emulated machine changed"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
