"""The whole daemon with a board on a pseudo-terminal: labels, objects, requests, a pulled cable, a flood."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.harness.daemon_harness import Stage, Turntable
from tests.harness.mqtt_harness import wait_until
from tests.harness.serial_board import SerialBoard


@pytest.fixture
def source() -> Turntable:
    return Turntable(np.full((120, 160, 3), (200, 40, 40), np.uint8))


def overrides(board: SerialBoard, *others: str) -> list[str]:
    return [f"serial.port={board.path}", "mqtt.host=null", *others]


def test_a_board_teaches_and_gets_the_label_through_a_lost_camera_and_a_pulled_cable(
    source: Turntable, tmp_path: Path
) -> None:
    board = SerialBoard(tmp_path / "usb-board")
    board.plug_in()
    with Stage(source, overrides(board), tmp_path):
        board.wait_for("label unknown")
        board.send(b"teach red\n")
        board.wait_for("taught red")
        board.wait_for("label red")
        source.broken = True
        board.wait_for("label ", times=2)
        source.broken = False
        board.wait_for("label red", times=2)
        board.unplug()
        board.received = b""
        board.plug_in()
        board.wait_for("label red")
        board.send(b"undo\nundo\n")
        board.wait_for("undone red")
        wait_until(lambda: any(line.startswith("error ") for line in board.lines()))
        board.wait_for("label unknown")
    assert board.lines()[-1] == "label "
    board.unplug()


def test_objects_and_regions_have_lines_of_their_own(source: Turntable, tmp_path: Path) -> None:
    board = SerialBoard(tmp_path / "usb-board")
    board.plug_in()
    regions = ["regions=[{name: left, box: [0, 0, 0.5, 1]}, {name: right, box: [0.5, 0, 0.5, 1]}]"]
    beam = ["trigger=gpio", "buttons=[{pin: 4, action: trigger, region: right}]"]
    with Stage(source, overrides(board, *regions, *beam), tmp_path) as stage:
        board.wait_for("right/label unknown")
        board.send(b"teach right/red\n")
        board.wait_for("taught red")
        stage.click(4)
        board.wait_for("right/object red")
    assert not [line for line in board.lines() if line.startswith("left/object")]
    board.unplug()


def test_a_board_that_floods_and_takes_nothing_delays_no_press(source: Turntable, tmp_path: Path) -> None:
    board = SerialBoard(tmp_path / "usb-board")
    board.plug_in()
    ended = threading.Event()
    flooding = threading.Thread(target=board.flood, args=(b"?\n\xff\x00garbage\n" * 50, ended))
    with Stage(source, overrides(board, "buttons=[{pin: 17, label: red, led: 5}]"), tmp_path) as stage:
        flooding.start()
        try:
            stage.click(17)
            wait_until(lambda: stage.presser.is_lit(5))
        finally:
            ended.set()
            flooding.join()
    board.unplug()


MICROBIT = """
import os, select, sys, time
class uart:
    def init(baudrate): assert baudrate == 115200
    def read(): return os.read(0, 64) if select.select([0], [], [], 0)[0] else None
    def write(text): os.write(1, text.encode())
class display:
    def show(text): print("show", repr(text), file=sys.stderr, flush=True)
class Button:
    def __init__(self): self.left = 1
    def was_pressed(self): self.left -= 1; return self.left == 0
button_a, button_b = Button(), Button()
button_b.left = 0
def sleep(ms): time.sleep(ms / 1000)
"""


def test_the_micro_bit_s_program_shows_the_label_and_teaches(source: Turntable, tmp_path: Path) -> None:
    (tmp_path / "microbit.py").write_text(MICROBIT)
    program = Path(__file__).parents[2] / "docs/recipes/microbit_label/main.py"
    board = SerialBoard(tmp_path / "usb-board")
    board.plug_in()
    with Stage(source, overrides(board), tmp_path):
        board.wait_for("label unknown")
        command = [sys.executable, str(program)]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        with (
            (tmp_path / "shown").open("w+") as shown,
            subprocess.Popen(
                command, stdin=board.fileno(), stdout=board.fileno(), stderr=shown, env=environment
            ) as process,
        ):
            try:
                wait_until(lambda: "show 'c'" in (tmp_path / "shown").read_text())
            finally:
                process.kill()
    board.unplug()
