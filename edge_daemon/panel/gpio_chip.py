"""What can stand between this process and the GPIO lines, and what would help."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_daemon.as_owner import user_name
from edge_daemon.board.gpio import header_chip


def gpio_trouble(dev: Path = Path("/dev")) -> str | None:
    """Return why the GPIO lines can't be used, with a remedy, in one line; None when nothing is seen."""
    header = header_chip(dev.parent)
    chips = sorted(dev.glob("gpiochip*")) if header is None else [dev / header.name]
    if not chips:
        return (
            f"there is no GPIO chip ({dev}/gpiochip*); on a Raspberry Pi `dmesg` tells why, "
            "elsewhere GPIOZERO_PIN_FACTORY=mock tries without pins"
        )
    if not any(os.access(chip, os.R_OK | os.W_OK) for chip in chips):
        user = user_name()
        return (
            f"{user} may not open {chips[0]}; run `sudo usermod -aG gpio {user}` and log in again, "
            "or give the service SupplementaryGroups=gpio"
        )
    if importlib.util.find_spec("lgpio") is None:
        return (
            "the Python module lgpio is missing; run `sudo apt install python3-lgpio`, or pip install lgpio"
        )
    return None


def uses_lgpio() -> bool:
    """Whether no other pin library was asked for, such as gpiozero's mock."""
    return os.environ.get("GPIOZERO_PIN_FACTORY", "lgpio").lower() == "lgpio"


@contextmanager
def lgpio_home() -> Iterator[None]:
    """Give `import lgpio` a directory of its own, and the process its working directory back.

    lgpio makes a FIFO in `$LG_WD` (else in the working directory) as it is imported, opens both
    ends, and changes into `$LG_WD`. Two processes in one directory would read each other's edges.
    Nobody looks for the FIFO by name later, so it goes with the directory.
    """
    parent = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or None
    before, there = os.getcwd(), os.environ.get("LG_WD")
    with tempfile.TemporaryDirectory(prefix="lgpio-", dir=parent) as home:
        os.environ["LG_WD"] = home
        try:
            yield
        finally:
            os.chdir(before)
            if there is None:
                del os.environ["LG_WD"]
            else:
                os.environ["LG_WD"] = there
