"""A disk of a few megabytes that a test can fill; only root may mount one."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest


class SmallDisk:
    """A tmpfs at `folder`."""

    def __init__(self, folder: Path, size: str = "3m") -> None:
        self.folder = folder
        self._size = size
        folder.mkdir()
        self.mount()

    def mount(self) -> None:
        """Put an empty disk in the place of one that was taken away."""
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._size}", "tmpfs", str(self.folder)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("only root may mount a disk")

    def fill(self) -> None:
        """Leave not a byte free."""
        with suppress(OSError), (self.folder / "filler").open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()

    def free(self) -> None:
        """Make room again."""
        (self.folder / "filler").unlink()

    def remount(self, mode: str) -> None:
        """Make the disk read-only (`ro`) or writable (`rw`)."""
        subprocess.run(["mount", "-o", f"remount,{mode}", self.folder], check=True)

    def close(self) -> None:
        """Take the disk away, also while a file on it is open."""
        subprocess.run(["umount", "-l", self.folder], check=True)
