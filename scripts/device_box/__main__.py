"""Commands of `scripts/device-box` on a built image. The machine is removed at the end."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from scripts.device_box import powercuts, shell, soak, test
from scripts.device_box.machine import MachineError

COMMANDS = {"test": test.run, "powercuts": powercuts.run, "soak": soak.run, "shell": shell.run}


def main() -> int:
    """Run the command. SIGTERM and SIGHUP clean up as well."""
    command, image, *words = sys.argv[1:]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="device-box.") as work:
        try:
            return COMMANDS[command](Path(image), Path(work), words)
        except MachineError as exc:
            print(f"error: {exc}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())
