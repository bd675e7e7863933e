"""The doctor's check of the power supply."""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path

from edge_daemon.board.files import read_line
from edge_daemon.board.power import UNDER_VOLTAGE, Power, describe, parse_bits, read_power
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.schema import Config

_SUPPLY = "use the supply and cable made for this board, and power USB devices by themselves"
_HEAT = "give it air or a heat sink; camera.fps and model.threads lower the load"


def check_power(config: Config, root: Path = Path("/")) -> Check:
    """Check the flags for under-voltage and throttling."""
    model = read_line(root / "proc/device-tree/model") or ""
    power = _ask_firmware() if "Raspberry Pi" in model else None
    power = power or read_power(root)
    if power is None:
        return Check("power", "ok", f"{model or 'this machine'} doesn't report under-voltage or throttling")
    if power.now:
        return Check("power", "failed", describe(power.now), _hint(power.now))
    if power.before:
        detail = f"ok now; since the boot there was {describe(power.before)}"
        return Check("power", "warning", detail, _hint(power.before))
    return Check("power", "ok", "no under-voltage, not throttled")


def _hint(flags: tuple[str, ...]) -> str:
    return _SUPPLY if UNDER_VOLTAGE in flags else _HEAT


def _ask_firmware() -> Power | None:
    """Return the flags of `vcgencmd get_throttled`, which cover the time since the boot; None without it.

    Only the group video may call it.
    """
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5)
        if found := re.search(r"throttled=0x([0-9a-fA-F]{1,8})\b", done.stdout):
            return Power(*parse_bits(int(found[1], 16)))
    return None
