"""The chip behind the header, by its label, on every board."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from edge_daemon.board.gpio import (
    Chip,
    chips,
    header_chip,
    holder_of,
    parse_chip,
    parse_holder,
    processes_with_lines,
)
from tests.board.roots import BOARDS, SOC_OF_PI_5, lay_out_chips


@pytest.mark.parametrize(
    ("board", "number", "label"),
    [
        ("Pi 5, Linux 6.6.20", 4, "pinctrl-rp1"),
        ("Pi 5, Linux 6.6.47", 0, "pinctrl-rp1"),
        ("Pi 4", 0, "pinctrl-bcm2711"),
        ("Pi 3", 0, "pinctrl-bcm2835"),
    ],
)
def test_the_header_is_found_by_its_label(tmp_path: Path, board: str, number: int, label: str) -> None:
    chip = header_chip(lay_out_chips(tmp_path, BOARDS[board]))
    assert chip == Chip(f"gpiochip{number}", label, 54)
    assert chip.number == number


def test_a_link_of_the_old_name_is_no_chip(tmp_path: Path) -> None:
    root = lay_out_chips(tmp_path, BOARDS["Pi 5, Linux 6.6.47"])
    (root / "dev/gpiochip4").symlink_to("gpiochip0")
    assert [chip.number for chip in chips(root)] == [0, 10, 11, 12]


def test_a_board_without_such_a_label_has_no_header(tmp_path: Path) -> None:
    assert header_chip(tmp_path) is None
    assert header_chip(lay_out_chips(tmp_path, dict(enumerate(SOC_OF_PI_5)))) is None


def test_the_kernel_s_answer_is_read() -> None:
    chip = parse_chip("gpiochip4", struct.pack("=32s32sI", b"gpiochip4", b"pinctrl-rp1", 54))
    assert chip == Chip("gpiochip4", "pinctrl-rp1", 54)

    def line(consumer: bytes, flags: int) -> bytes:
        return struct.pack("=32s32sIIQ176s", b"GPIO17", consumer, 17, 0, flags, b"")

    assert parse_holder(line(b"lg", 0b101)) == "lg"
    assert parse_holder(line(b"", 0b1)) == "the kernel"
    assert parse_holder(line(b"", 0b100)) is None


def test_a_node_that_is_no_device_has_no_holder(tmp_path: Path) -> None:
    root = lay_out_chips(tmp_path, BOARDS["Pi 4"])
    assert holder_of(Chip("gpiochip0", "pinctrl-bcm2711", 54), 17, root) is None
    assert holder_of(Chip("gpiochip9", "", 0), 17, root) is None
    assert holder_of(Chip("null", "", 0), 17) is None


def test_processes_with_the_chip_open_are_named(tmp_path: Path) -> None:
    for pid, name, files in ((7, "bash", ["/dev/tty1"]), (40, "edge-daemon", ["/dev/gpiochip0"]),
                             (123, "gpiomon", ["pipe:[1]", "anon_inode:gpio-line"])):  # fmt: skip
        folder = tmp_path / "proc" / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "comm").write_text(f"{name}\n")
        for number, target in enumerate(files):
            os.symlink(target, folder / "fd" / str(number))
    found = processes_with_lines(Chip("gpiochip0", "pinctrl-bcm2711", 58), tmp_path)
    assert found == [(40, "edge-daemon"), (123, "gpiomon")]
