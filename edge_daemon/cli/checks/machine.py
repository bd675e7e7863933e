"""The doctor's checks of the machine: Python, groups, memory, clock, power supply."""

from __future__ import annotations

import contextlib
import grp
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from edge_daemon.app.model_factory import store_path
from edge_daemon.board.clock import BUILT_AFTER, clock_synced
from edge_daemon.board.files import read_line
from edge_daemon.board.memory import limits_remedy, memory_info, memory_limits_apply
from edge_daemon.board.power import UNDER_VOLTAGE, Power, describe, parse_bits, read_power
from edge_daemon.board.process import daemon_process, peak_memory
from edge_daemon.board.system_python import system_python
from edge_daemon.camera.factory import import_library
from edge_daemon.camera.picamera import BUFFERS
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.camera import PicameraOptions, V4l2Options
from edge_daemon.config.panel import pins_in_use
from edge_daemon.config.schema import Config
from edge_daemon.domain.interfaces import Clock
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.file_owner import user_name

_REBUILD = "run `sudo scripts/install` again: it builds the program for the new version"
_WRITE_AGAIN = "write the card again with Raspberry Pi OS (64-bit); a Pi 1, Zero or Zero W can't run it"

MIN_AVAILABLE = 100_000_000
"""Bytes: about the memory of the service (docs/storage.md)."""

_RAW_BUFFERS = 4
"""Buffers of the sensor's stream: libcamera's `min_total_unicam_buffers`."""

_CLOCK_HINT = "times in messages are wrong until network time arrives; see `timedatectl`"

_SUPPLY = "use the supply and cable made for this board, and a powered hub for USB devices"
_HEAT = "add air or a heat sink; a lower camera.fps or model.threads reduces the load"


def check_python(
    config: Config,
    root: Path = Path("/"),
    base: str = sys.base_prefix,
    bits: int = sys.maxsize.bit_length() + 1,
) -> Check:
    """Compare with the system's Python, and import the camera's library without claiming the camera."""
    if bits < 64:
        return Check(
            "python", "failed", f"this is a {bits}-bit Python, and LiteRT needs a 64-bit one", _WRITE_AGAIN
        )
    import_library(config.camera)
    mine, current = ".".join(platform.python_version_tuple()[:2]), system_python(root)
    if base == "/usr" and current not in (None, mine):
        return Check(
            "python", "warning", f"installed for {mine}, but the system's Python is {current} now", _REBUILD
        )
    numpy = f"numpy {np.__version__} of {Path(np.__file__).parents[1]}"
    return Check("python", "ok", f"{platform.python_version()} in {sys.prefix}, {numpy}")


def check_groups(config: Config) -> Check:
    """Compare the groups that the configuration needs with those this user has."""
    needed = {"gpio"} if pins_in_use(config.buttons, config.panel.leds) else set()
    needed |= {"video"} if isinstance(config.camera, PicameraOptions | V4l2Options) else set()
    if not needed:
        return Check("groups", "ok", "none needed")
    if os.geteuid() == 0:
        hint = "check as the service's user: `sudo -u edge-daemon edge-daemon doctor`"
        return Check("groups", "warning", "root has every right, and the service does not", hint)
    mine = {_group_name(number) for number in (os.getegid(), *os.getgroups())}
    if missing := sorted(needed - mine):
        command = f"`sudo usermod -aG {','.join(missing)} {user_name()}`, then log in again"
        return Check("groups", "failed", f"not in {', '.join(missing)}", command)
    return Check("groups", "ok", ", ".join(sorted(needed)))


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def check_memory(config: Config, root: Path = Path("/")) -> Check:
    """Check the available memory, the camera buffers, the running service's peak and the memory cgroup."""
    info = memory_info(root)
    if "MemTotal" not in info:
        return Check("memory", "ok", "the system does not report its memory")
    process = daemon_process(store_path(config), root)
    peak = None if process is None else peak_memory(process, root)
    detail = _detail(info, peak)
    if memory_limits_apply(root) is False:
        text = f"{detail}; MemoryMax= has no effect, as the memory cgroup is off"
        return Check("memory", "warning", text, limits_remedy(root))
    needed, cma = camera_bytes(config.camera), info.get("CmaTotal", 0)
    if needed > cma > 0:
        hint = "lower camera.size, or reserve more with `cma=` of the kernel's command line"
        return Check("memory", "warning", f"{detail}; camera.size needs {_mb(needed)} MB there", hint)
    if peak is None and info.get("MemAvailable", MIN_AVAILABLE) < MIN_AVAILABLE:
        return Check("memory", "warning", detail, "the service needs about 100 MB; end other programs")
    return Check("memory", "ok", detail)


def camera_bytes(options: object) -> int:
    """Return the minimum bytes of the two streams of a Pi's camera; 0 for another camera.

    The streams are RGB frames, and raw frames of at least the same size with 10 bits per pixel, packed. Both
    need contiguous memory (github.com/raspberrypi/picamera2/issues/972).
    """
    if not isinstance(options, PicameraOptions):
        return 0
    width, height = options.size
    return width * height * (3 * BUFFERS + 5 * _RAW_BUFFERS // 4)


def _detail(info: dict[str, int], peak: int | None) -> str:
    parts = [f"{_mb(info.get('MemAvailable', 0))} of {_mb(info['MemTotal'])} MB available"]
    if cma := info.get("CmaTotal"):
        parts.append(f"camera buffers (CMA): {_mb(cma - info.get('CmaFree', 0))} of {_mb(cma)} MB in use")
    if peak is not None:
        parts.append(f"the service's peak: {_mb(peak)} MB")
    return "; ".join(parts)


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f}"


def check_clock(config: Config, clock: Clock | None = None, root: Path = Path("/")) -> Check:
    """Check that the wall clock was set, and synchronised since the boot."""
    shown = (clock or SystemClock()).utc()
    synced = clock_synced(root)
    if shown < BUILT_AFTER and not synced:
        return Check(
            "clock", "failed", f"it shows {shown.astimezone():%Y-%m-%d %H:%M}", f"not set: {_CLOCK_HINT}"
        )
    text = f"{shown.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    if synced is False:
        tls = ", and TLS may have to wait for it" if config.mqtt.tls.enabled else ""
        return Check("clock", "warning", f"{text}, not synchronised", f"{_CLOCK_HINT}{tls}")
    return Check("clock", "ok", text if synced is None else f"{text}, synchronised")


def check_power(config: Config, root: Path = Path("/")) -> Check:
    """Check the flags for under-voltage and throttling."""
    model = read_line(root / "proc/device-tree/model") or ""
    power = _ask_firmware() if "Raspberry Pi" in model else None
    power = power or read_power(root)
    if power is None:
        return Check("power", "ok", f"{model or 'this machine'} doesn't report under-voltage or throttling")
    if power.now:
        return Check("power", "failed", describe(power.now), _power_hint(power.now))
    if power.before:
        detail = f"ok now; since the boot there was {describe(power.before)}"
        return Check("power", "warning", detail, _power_hint(power.before))
    return Check("power", "ok", "no under-voltage, not throttled")


def _power_hint(flags: tuple[str, ...]) -> str:
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
