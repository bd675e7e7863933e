"""Which state of the files that matter to the box passed it last: CI starts it when that is another one.

python -m scripts.device_box.last_pass    exit status 0 when these files passed as they are
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

RECORD = Path("scripts/device_box/last_pass.txt")
MATTER = (
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
    """Return one number for the names, contents and executable bits of all files that matter."""
    total = hashlib.sha256()
    for path in sorted(_files()):
        executable = bool(path.stat().st_mode & 0o100)
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path} {executable} {content}\n".encode())
    return total.hexdigest()


def _files() -> Iterator[Path]:
    for name in MATTER:
        place = Path(name)
        for path in [place] if place.is_file() else place.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path != RECORD:
                yield path


def remember() -> None:
    """Write down that the files as they are passed."""
    RECORD.write_text(f"{digest()}\n")


def main() -> int:
    """Compare with the record."""
    passed = RECORD.is_file() and RECORD.read_text().strip() == digest()
    print("the device in a box passed with these files" if passed else "files of the device in a box changed")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
