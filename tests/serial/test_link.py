"""The link on real pseudo-terminals: a board that is unplugged, floods, echoes or takes nothing."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_daemon.config.serial import SerialOptions
from edge_daemon.domain.commands import AddExample, Command, Undo
from edge_daemon.domain.events import CameraLost, CommandReply, ExampleAdded, LabelChanged, ObjectPassed
from edge_daemon.serial.link import READ_PAUSE_S, SerialLink
from edge_daemon.serial.port import SerialPort
from edge_daemon.system.testing import ManualClock
from tests.harness.mqtt_harness import wait_until
from tests.harness.serial_board import SerialBoard

AT = datetime(2026, 1, 1, tzinfo=UTC)


def label(name: str, region: str = "frame") -> LabelChanged:
    return LabelChanged(region, name, None, 1.0, 1, AT, 2.0)


def passed(name: str) -> ObjectPassed:
    return ObjectPassed("frame", name, 1.0, 3, 1, AT, 2.0)


class LinkHarness:
    """A link, the board at its port, and the commands of the board."""

    def __init__(self, folder: Path, regions: tuple[str, ...] = ("frame",)) -> None:
        self.board = SerialBoard(folder / "usb-board")
        self.clock = ManualClock()
        self.commands: list[Command] = []
        self.crashes: list[BaseException] = []
        self.full = False
        self.link = SerialLink(
            SerialOptions(port=str(self.board.path)),
            regions,
            submit=self.submit,
            on_crash=self.crashes.append,
            clock=self.clock,
        )

    def submit(self, command: Command) -> bool:
        if not self.full:
            self.commands.append(command)
        return not self.full

    def start(self) -> None:
        self.board.plug_in()
        self.link.start()
        self.board.wait_for("label ")


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[LinkHarness]:
    harness = LinkHarness(tmp_path)
    yield harness
    harness.link.stop()
    harness.board.unplug()
    assert harness.crashes == []


def test_labels_and_objects_are_sent_as_lines(harness: LinkHarness) -> None:
    harness.start()
    harness.link.handle(label("old cat"))
    harness.link.handle(passed("dog"))
    harness.board.wait_for("object dog")
    harness.link.handle(CameraLost("unplugged"))
    harness.board.wait_for("label ", times=2)
    assert harness.board.lines() == ["label ", "label old cat", "object dog", "label "]


def test_each_region_has_lines_with_its_name(tmp_path: Path) -> None:
    harness = LinkHarness(tmp_path, ("left", "right"))
    harness.board.plug_in()
    harness.link.handle(label("cat", "right"))
    harness.link.start()
    harness.board.wait_for("right/label cat")
    harness.board.send(b"teach right/dog\n")
    wait_until(lambda: harness.commands != [])
    harness.link.stop()
    assert isinstance(harness.commands[0], AddExample)
    assert (harness.commands[0].label, harness.commands[0].region) == ("dog", "right")
    assert harness.board.lines() == ["left/label ", "right/label cat", "left/label ", "right/label "]
    harness.board.unplug()


def test_a_question_gets_the_present_label(harness: LinkHarness) -> None:
    harness.start()
    harness.link.handle(label("cat"))
    harness.board.wait_for("label cat")
    harness.board.send(b"?\n")
    harness.board.wait_for("label cat", times=2)


def test_teach_and_undo_become_commands_and_their_outcome_a_line(harness: LinkHarness) -> None:
    harness.start()
    harness.board.send(b"tea")
    harness.board.send(b"ch cat\r\nundo\r\n")
    wait_until(lambda: len(harness.commands) == 2)
    teach, undo = harness.commands
    assert isinstance(teach, AddExample)
    assert (teach.label, teach.pressed_s) == ("cat", harness.clock.monotonic())
    assert isinstance(undo, Undo)
    harness.link.handle(ExampleAdded(1, "cat", "frame", 1, 3, teach))
    harness.link.handle(CommandReply(undo, "there is nothing to undo"))
    harness.board.wait_for("error there is nothing to undo")
    assert "taught cat" in harness.board.lines()


def test_a_request_that_can_t_be_executed_gets_an_error(harness: LinkHarness) -> None:
    harness.start()
    harness.board.send(b"teach a/b\n")
    harness.board.wait_for("error there is no region 'a'; use one of frame")
    harness.full = True
    harness.board.send(b"undo\n")
    harness.board.wait_for("error the device is busy; send the request again")
    assert harness.commands == []


def test_an_unplugged_board_gets_the_present_label_when_it_is_back(
    harness: LinkHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    harness.start()
    for name in ("cat", "dog", "bird"):
        harness.board.send(b"teach half a li")
        harness.board.unplug()
        wait_until(lambda: "usb-board" in caplog.text and caplog.records[-1].levelno == logging.WARNING)
        harness.link.handle(label(name))
        harness.board.plug_in()
        harness.board.wait_for(f"label {name}")
    harness.board.send(b"undo\n")  # no end of the half line
    wait_until(lambda: harness.commands != [])
    assert isinstance(harness.commands[0], Undo)
    assert sum("is open" in record.message for record in caplog.records) == 4


def test_a_port_that_is_missing_for_long_is_reported_once(
    harness: LinkHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    harness.link.start()
    wait_until(lambda: "No such file" in caplog.text)
    for name in ("cat", "dog"):
        harness.link.handle(label(name))
        harness.link.handle(passed(name))
    harness.clock.advance(3.0)
    harness.board.plug_in()
    harness.board.wait_for("label dog")
    assert harness.board.lines() == ["label dog"]  # the objects are too old
    assert caplog.text.count("No such file") == 1


def test_a_new_connection_ends_the_half_line_of_the_last_one(harness: LinkHarness) -> None:
    harness.start()
    assert harness.board.received.startswith(b"\n")


def test_a_board_that_takes_nothing_gets_the_latest_label_later(harness: LinkHarness) -> None:
    harness.start()
    for number in range(20_000):
        harness.link.handle(label(f"{number}"))
        if number % 100 == 0:
            harness.link.handle(passed("cat"))
    harness.link.handle(label("last"))
    harness.board.wait_for("label last")
    lines = harness.board.lines()
    assert all(line == "object cat" or line.startswith("label ") for line in lines)


def test_a_flood_of_requests_is_refused_once(harness: LinkHarness) -> None:
    harness.start()
    harness.board.send(b"undo\n" * 5_000)
    harness.board.wait_for("error too many requests; at most 10 a second")
    harness.board.send(b"?\n")
    harness.board.wait_for("label ", times=2)
    assert len(harness.commands) == 20
    assert len(harness.board.lines()) == 3
    harness.clock.advance(10.0)
    harness.board.send(b"undo\n")
    wait_until(lambda: len(harness.commands) == 21)


def test_garbage_of_a_wrong_baud_rate_is_reported_once_and_ignored(
    harness: LinkHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.start()
    harness.board.send(bytes(range(128, 256)) * 100 + b"\n\x00\xf8\n" * 50)
    harness.board.send(b"undo\n")
    wait_until(lambda: harness.commands != [])
    assert [record.message for record in caplog.records if "no text" in record.message] == [
        f"serial: {harness.board.path} sends {bytes(range(128, 148))!r}, which is no text; "
        "is the board's baud rate 115200?"
    ]
    assert harness.board.lines() == ["label "]


def test_a_flood_without_line_ends_is_read_with_pauses(
    harness: LinkHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong baud rate gives such bytes; each read of a few of them would take a turn of the thread."""
    reads: list[float] = []
    read = SerialPort.read

    def count(port: SerialPort) -> bytes:
        reads.append(time.monotonic())
        return read(port)

    monkeypatch.setattr(SerialPort, "read", count)
    harness.start()
    for _ in range(200):
        harness.board.send(b"\xff" * 16)
        time.sleep(0.001)
    wait_until(lambda: len(reads) > 5)
    pauses = [after - before for before, after in itertools.pairwise(reads)]
    assert min(pauses) >= 0.9 * READ_PAUSE_S


def test_debug_messages_of_a_board_are_ignored(
    harness: LinkHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.start()
    harness.board.send(b"servo at 90\n" * 100 + b"?\n")
    harness.board.wait_for("label ", times=2)
    assert caplog.records == []
    assert harness.board.lines() == ["label ", "label "]


def test_a_board_that_echoes_every_line_gets_no_answer_to_it(harness: LinkHarness) -> None:
    harness.start()
    harness.link.handle(label("teach cat"))
    harness.board.wait_for("label teach cat")
    harness.board.send(harness.board.received + b"undo\n")
    wait_until(lambda: len(harness.commands) == 1)
    assert harness.board.lines() == ["label ", "label teach cat"]


def test_a_stop_sends_an_empty_label(harness: LinkHarness) -> None:
    harness.start()
    harness.link.handle(label("cat"))
    harness.board.wait_for("label cat")
    harness.link.stop()
    assert harness.board.lines() == ["label ", "label cat", "label "]


def test_a_link_leaves_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    harness = LinkHarness(tmp_path)
    harness.start()
    harness.link.stop()
    harness.board.unplug()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


def test_a_stop_before_the_start_is_harmless(tmp_path: Path) -> None:
    LinkHarness(tmp_path).link.stop()
