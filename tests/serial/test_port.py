"""The port on real pseudo-terminals and other files."""

from __future__ import annotations

import os
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.domain.errors import SerialError
from edge_daemon.serial.port import SerialPort


@pytest.fixture
def ends() -> Iterator[tuple[int, str]]:
    """The board's end, and the path of the port."""
    board, port = os.openpty()
    yield board, os.ttyname(port)
    for end in (board, port):
        try:
            os.close(end)
        except OSError:
            assert end == board  # closed by the test


def test_every_byte_passes_unchanged_in_both_directions(ends: tuple[int, str]) -> None:
    board, path = ends
    port = SerialPort(path, 115200)
    data = bytes(range(256))
    assert port.write(data) == len(data)
    assert os.read(board, 1024) == data
    os.write(board, data)
    assert port.read() == data
    assert port.read() == b""
    port.close()


def test_the_port_has_the_rate_eight_bits_no_echo_and_no_hang_up_at_the_end(ends: tuple[int, str]) -> None:
    port = SerialPort(ends[1], 9600)
    _, output, control, local, _, speed, _ = termios.tcgetattr(port.fileno())
    assert speed == termios.B9600
    assert control & termios.CSIZE == termios.CS8
    assert not control & (termios.PARENB | termios.CSTOPB | termios.CRTSCTS | termios.HUPCL)
    assert (output, local) == (0, 0)
    port.close()


def test_a_board_that_takes_nothing_blocks_neither_write_nor_close(ends: tuple[int, str]) -> None:
    port = SerialPort(ends[1], 115200)
    written = 0
    while count := port.write(b"x" * 4096):
        written += count
    assert 0 < written < 10_000_000
    port.close()


def test_a_lost_board_is_an_error_of_read_and_write(ends: tuple[int, str]) -> None:
    board, path = ends
    port = SerialPort(path, 115200)
    os.close(board)
    with pytest.raises(SerialError, match="plug the board in again"):
        port.read()
    with pytest.raises(SerialError, match="plug the board in again"):
        port.write(b"?")
    port.close()


def test_a_port_in_use_is_refused(ends: tuple[int, str]) -> None:
    port = SerialPort(ends[1], 115200)
    with pytest.raises(SerialError, match="another program has it"):
        SerialPort(ends[1], 115200)
    port.close()
    SerialPort(ends[1], 115200).close()


def test_a_missing_port_a_file_and_a_folder_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(SerialError, match=r"missing: No such file.*/dev/serial/by-id"):
        SerialPort(str(tmp_path / "missing"), 115200)
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SerialError, match="no serial port"):
        SerialPort(str(tmp_path / "file"), 115200)
    assert (tmp_path / "file").read_text() == "kept"
    with pytest.raises(SerialError, match="directory"):
        SerialPort(str(tmp_path), 115200)
    with pytest.raises(SerialError, match="no serial port"):
        SerialPort("/dev/null", 115200)


def test_a_refused_port_leaves_no_descriptor_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(SerialError):
            SerialPort("/dev/null", 115200)
    assert len(os.listdir("/proc/self/fd")) == before
