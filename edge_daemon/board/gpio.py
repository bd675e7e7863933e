"""GPIO chips and their lines in the kernel. Numbers of chips change between kernels, labels do not."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.board.digits import read_digits
from edge_daemon.board.process import processes_with_files

HEADER_LABELS = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")
"""Labels of the chip of the 40-pin header: Pi 5, 500 and Compute Module 5; 4, 400 and CM4; earlier ones.

On a Pi 5 the chip is gpiochip4 up to Linux 6.6.44, then gpiochip0 with a link of the old name
(raspberrypi/linux pull request 6144, WiringPi issue 280, gpiozero pull request 1216).
"""

# linux/gpio.h; the same on all of Debian's architectures for a Raspberry Pi.
_GET_CHIP_INFO = 0x8044B401
_CHIP_INFO = struct.Struct("=32s32sI")
_GET_LINE_INFO = 0xC100B405
_LINE_INFO = struct.Struct("=32s32sIIQ176s")
_USED = 1

_LINE_FILE = "anon_inode:gpio-line"


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip; `name` is the name of its device. Unreadable chips have an empty `label` and 0 `lines`."""

    name: str
    label: str
    lines: int

    @property
    def number(self) -> int:
        """The number in the name, by which libraries open the chip."""
        return int(self.name.removeprefix("gpiochip"))


def chips(root: Path = Path("/")) -> list[Chip]:
    """Return the chips by number; links to other nodes are left out."""
    names = [node.name for node in (root / "dev").glob("gpiochip*") if not node.is_symlink()]
    numbered = [name for name in names if read_digits(name.removeprefix("gpiochip")) is not None]
    return [_chip(name, root) for name in sorted(numbered, key=lambda name: int(name[8:]))]


def header_chip(root: Path = Path("/")) -> Chip | None:
    """Return the chip of a Raspberry Pi's header; None if no chip has such a label."""
    found = {chip.label: chip for chip in reversed(chips(root))}
    return next((found[label] for label in HEADER_LABELS if label in found), None)


def holder_of(chip: Chip, line: int, root: Path = Path("/")) -> str | None:
    """Return the consumer name of a line; None for a line that is free or can't be read."""
    request = bytearray(_LINE_INFO.pack(b"", b"", line, 0, 0, b""))
    return None if not _ask(root / "dev" / chip.name, _GET_LINE_INFO, request) else parse_holder(request)


def parse_holder(info: bytes | bytearray) -> str | None:
    """Return the consumer in a `gpio_v2_line_info`; None for a free line."""
    _, consumer, _, _, flags, _ = _LINE_INFO.unpack(info)
    return (_text(consumer) or "the kernel") if flags & _USED else None


def parse_chip(name: str, info: bytes | bytearray) -> Chip:
    """Return the chip of a `gpiochip_info`."""
    _, label, lines = _CHIP_INFO.unpack(info)
    return Chip(name, _text(label), lines)


def processes_with_lines(chip: Chip, root: Path = Path("/")) -> list[tuple[int, str]]:
    """Return (id, name) of the processes that have the chip or a line open and that this user may see."""
    return processes_with_files({f"/dev/{chip.name}", _LINE_FILE}, root)


def _chip(name: str, root: Path) -> Chip:
    info = bytearray(_CHIP_INFO.size)
    if _ask(root / "dev" / name, _GET_CHIP_INFO, info):
        return parse_chip(name, info)
    return _chip_of_sysfs(name, root)


def _chip_of_sysfs(name: str, root: Path) -> Chip:
    """Read from /sys a device that may not be opened; the chips have other numbers there."""
    for folder in (root / "sys/class/gpio").glob("gpiochip*"):
        if (folder / "device" / name).exists() or (folder / "device").resolve().name == name:
            return Chip(name, _read(folder / "label"), read_digits(_read(folder / "ngpio")) or 0)
    return Chip(name, "", 0)


def _ask(node: Path, request: int, answer: bytearray) -> bool:
    """Fill in `answer`; return False if `node` is not a character device or may not be opened."""
    try:
        if not stat.S_ISCHR(os.stat(node).st_mode):
            return False
        descriptor = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.ioctl(descriptor, request, answer)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode(errors="replace")
