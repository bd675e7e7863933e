"""Commands of the machine."""

from __future__ import annotations

import subprocess


def run(*command: str) -> str:
    """Run a command and return its standard output, stripped. Raises AssertionError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()
