"""`python3 -m edge_daemon.board FOLDER...`: print a line for each fault of this machine, for the installers.

Runs with the system's Python before anything is installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge_daemon.board.memory import limits_remedy, memory_limits_apply
from edge_daemon.board.mounts import mount_fault


def main(folders: list[str], root: Path = Path("/")) -> None:
    """Print the faults that concern an installation into these folders."""
    for folder in folders:
        if fault := mount_fault(Path(folder) / "file", root):
            print(f"{fault.reason}; {fault.remedy}")
    if memory_limits_apply(root) is False:
        print(f"MemoryMax= has no effect, as the memory cgroup is off; {limits_remedy(root)}")


if __name__ == "__main__":
    main(sys.argv[1:])
