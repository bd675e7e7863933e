"""Under-voltage and throttling of a Raspberry Pi, as reported by its firmware.

The firmware driver makes `get_throttled`; its device is `soc:firmware` on a Pi 3, 4 and Zero 2 and
`soc@107c000000:firmware` on a Pi 5, so the file is searched through the driver (raspberrypi/linux,
drivers/firmware/raspberrypi.c, driver "raspberrypi-firmware"). Newer kernels lack the file. The hwmon
device `rpi_volt` reports under-voltage only and exists in all kernels (drivers/hwmon/raspberrypi-hwmon.c).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.board.files import read_line

UNDER_VOLTAGE = "under_voltage"
_BITS = {0: UNDER_VOLTAGE, 1: "frequency_capped", 2: "throttled", 3: "temperature_limit"}
"""Bits of get_throttled (Raspberry Pi's documentation of vcgencmd); 16 bits higher: has occurred."""

FLAGS = tuple(_BITS.values())
_TEXTS = {
    UNDER_VOLTAGE: "under-voltage",
    "frequency_capped": "frequency capped",
    "throttled": "throttled",
    "temperature_limit": "near the temperature limit",
}
_GET_THROTTLED = (
    "sys/bus/platform/drivers/raspberrypi-firmware/*/get_throttled",
    "sys/devices/platform/*/*firmware/get_throttled",
)
_MAX_BITS = 32


@dataclass(frozen=True, slots=True)
class Power:
    """The FLAGS that are set `now`, and those that were set `before`, since the boot."""

    now: tuple[str, ...] = ()
    before: tuple[str, ...] = ()


def read_power(root: Path = Path("/")) -> Power | None:
    """Return the power flags; None on a machine that does not report them.

    With `rpi_volt` the "has occurred" bits count as `now`: its driver reads and clears them every 2 s. The
    first reading of get_throttled after a boot logs "deprecated, use hwmon sysfs instead" in the kernel's
    log; hwmon does not report throttling.
    """
    alarm, bits = _read_alarm(root), _read_bits(root)
    if alarm is None and bits is None:
        return None
    now, before = parse_bits(bits or 0)
    if alarm is None:
        return Power(now, before)
    recent = {*now, *before, *((UNDER_VOLTAGE,) if alarm else ())}
    return Power(tuple(flag for flag in FLAGS if flag in recent))


def parse_bits(bits: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the flags of a get_throttled value that are set now and those that have occurred."""
    now = tuple(flag for bit, flag in _BITS.items() if bits >> bit & 1)
    return now, tuple(flag for bit, flag in _BITS.items() if bits >> bit + 16 & 1)


def describe(flags: Iterable[str]) -> str:
    """Return the flags as readable text."""
    return ", ".join(_TEXTS.get(flag, flag) for flag in flags)


def alarm_path(root: Path = Path("/")) -> Path | None:
    """Return the file of `rpi_volt`'s under-voltage alarm; poll(2) returns POLLPRI at each change."""
    for name in sorted(root.glob("sys/class/hwmon/hwmon*/name")):
        if read_line(name) == "rpi_volt":
            return name.with_name("in0_lcrit_alarm")
    return None


def _read_alarm(root: Path) -> bool | None:
    path = alarm_path(root)
    text = read_line(path) if path is not None else None
    return text != "0" if text in ("0", "1") else None


def _read_bits(root: Path) -> int | None:
    """Return get_throttled, hexadecimal without a prefix; None if it is missing or not a number."""
    for text in _throttled_texts(root):
        try:
            bits = int(text, 16)
        except ValueError:
            continue
        if 0 <= bits < 1 << _MAX_BITS:
            return bits
    return None


def _throttled_texts(root: Path) -> Iterator[str]:
    for pattern in _GET_THROTTLED:
        for path in sorted(root.glob(pattern)):
            yield read_line(path) or ""
