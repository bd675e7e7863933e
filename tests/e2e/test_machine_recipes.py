"""The sorter and the arcade game of docs/recipes, with their configurations and commands as they are written.

The whole daemon runs beside a real broker. Pins are gpiozero's mock pins, and evdev is a stand-in.
"""

from __future__ import annotations

import curses
import os
import pty
import re
import runpy
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.harness.daemon_harness import Ear, Stage, Turntable
from tests.harness.evdev_stand_in import evdev_stand_in
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_harness import wait_until
from tests.harness.running_command import TIMEOUT_S, Program, started

RECIPES = Path(__file__).parents[2] / "docs/recipes"
GAME = RECIPES / "arcade_game/catch.py"
PWM_PINS = {"GPIOZERO_PIN_FACTORY": "mock", "GPIOZERO_MOCK_PIN_CLASS": "mockpwmpin"}
CONFIG = "/etc/edge_daemon/config.yaml"
RED, GREEN, BLUE = (
    np.full((120, 160, 3), colour, np.uint8) for colour in ((200, 40, 40), (20, 160, 40), (20, 40, 220))
)
BARRIER, BOLT, NUT = 4, 17, 27
LEFT, RIGHT, NOTHING = 17, 27, 22


def block(page: str, kind: str) -> str:
    """Return the only code block of this kind."""
    (code,) = re.findall(rf"```{kind}\n(.*?)```", (RECIPES / page).read_text(), re.DOTALL)
    return str(code)


def arguments(page: str, command: str, config: Path) -> list[str]:
    """Return the arguments of the page's `edge-daemon COMMAND`, for this configuration."""
    (line,) = re.findall(rf"(?m)^(?:sudo )?edge-daemon {command} (.*)$", block(page, "sh"))
    return shlex.split(line.replace(CONFIG, str(config)))


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


class Machine:
    """The daemon of a recipe's page, and the program that follows it."""

    def __init__(self, stage: Stage, source: Turntable, ear: Ear, program: Program) -> None:
        self.stage, self.source, self.ear, self.program = stage, source, ear, program

    def teach(self, pin: int, picture: Any) -> None:
        """Show a picture and press a button, and wait until its example is on disk."""
        since = len(self.ear.lines)
        self.source.picture = picture
        self.stage.click(pin)
        self.ear.wait_for("example_added", since)

    def pass_by(self) -> str:
        """Break the light barrier's beam, and return the object's event."""
        since = len(self.ear.lines)
        self.stage.click(BARRIER)
        return self.ear.wait_for('"object"', since)

    def wait_for_key(self, key: str) -> None:
        """Wait until the key, and no other, is held down."""
        wait_until(lambda: [line["key"] for line in self._last_changes() if line["state"] == "down"] == [key])

    def _last_changes(self) -> list[dict[str, Any]]:
        return list({line["key"]: line for line in self.program.lines}.values())


@contextmanager
def machine(
    page: str, command: str, broker: Mosquitto, folder: Path, environ: dict[str, str]
) -> Iterator[Machine]:
    """Run the page's configuration and command."""
    config, source = folder / "config.yaml", Turntable(RED)
    config.write_text(block(page, "yaml"))
    settings = [f"mqtt.host={broker.host}", f"mqtt.port={broker.port}"]
    words = [*arguments(page, command, config), "--set", "device.id=stage"]
    with (
        Ear(broker.port, "edge_daemon/stage/#") as ear,
        Stage(source, settings, folder, config) as stage,
        started(command, words, broker, folder, environ) as program,
    ):
        program.wait_for_log("connected")
        ear.wait_for("availability online")
        yield Machine(stage, source, ear, program)


@contextmanager
def tally(broker: Mosquitto, folder: Path) -> Iterator[Path]:
    """Run the sorter's `tally.py`, and give the file of its lines."""
    script, out = folder / "tally.py", folder / "tally"
    script.write_text(block("tiny-sorter.md", "python"))
    options = ["--device", "stage", "--set", f"mqtt.host={broker.host}", "--set", f"mqtt.port={broker.port}"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, str(script), *options]
    with (
        out.open("wb") as stdout,
        subprocess.Popen(command, stdout=stdout, env=environment, start_new_session=True) as process,
    ):
        try:
            yield out
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_the_sorter_turns_its_flap_for_a_bolt_and_not_for_a_nut(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        machine("tiny-sorter.md", "sort", broker, tmp_path, PWM_PINS) as sorter,
        tally(broker, tmp_path) as counted,
    ):
        sorter.teach(BOLT, RED)
        sorter.teach(NUT, BLUE)
        while "nut" not in counted.read_text():  # until it follows the device
            assert "nut" in sorter.pass_by()
        sorter.source.picture = RED
        while "bolt" not in counted.read_text() or not sorter.program.lines:  # a late event turns no flap
            assert "bolt" in sorter.pass_by()
        on, off = sorter.program.wait_for_lines(2)[:2]
        assert (on["label"], on["pin"], on["state"]) == ("bolt", 12, "on")
        assert (off["label"], off["pin"], off["state"]) == ("bolt", 12, "off")
        assert {line["label"] for line in sorter.program.lines} == {"bolt"}
        sorter.program.process.terminate()
        assert sorter.program.process.wait(TIMEOUT_S) == 0


def test_things_hold_the_keys_of_the_arcade_game(broker: Mosquitto, tmp_path: Path) -> None:
    with machine("arcade-game.md", "keys", broker, tmp_path, evdev_stand_in(tmp_path / "modules")) as arcade:
        arcade.teach(LEFT, RED)
        arcade.wait_for_key("KEY_LEFT")
        arcade.teach(RIGHT, BLUE)
        arcade.wait_for_key("KEY_RIGHT")
        arcade.teach(NOTHING, GREEN)
        arcade.wait_for_key("KEY_DOWN")
        arcade.source.picture = RED
        arcade.wait_for_key("KEY_LEFT")


@pytest.fixture
def catch() -> dict[str, Any]:
    """The names of the game."""
    return runpy.run_path(str(GAME))


def test_one_key_press_moves_the_basket_until_the_next_key(catch: dict[str, Any]) -> None:
    game = catch["Game"]()
    start = game.left
    game.press(curses.KEY_LEFT)
    game.tick()
    game.tick()
    assert game.left == start - 2
    game.press(curses.KEY_DOWN)
    game.tick()
    assert game.left == start - 2
    game.press(curses.KEY_RIGHT)
    for _ in range(2 * catch["WIDTH"]):
        game.tick()
    assert game.left == catch["WIDTH"] - len(catch["BASKET"])


@pytest.mark.parametrize(("column", "score", "lives"), [(0, 1, 5), (39, 0, 4)])
def test_a_star_over_the_basket_is_caught(catch: dict[str, Any], column: int, score: int, lives: int) -> None:
    game = catch["Game"]()
    game.left, game.star = 0, [column, 0]
    for _ in range(catch["HEIGHT"] * catch["FALL_TICKS"]):
        game.tick()
    assert (game.score, game.lives, game.star[1]) == (score, lives, 0)


def test_the_game_plays_in_a_terminal_until_q() -> None:
    terminal, other_end = pty.openpty()
    termios.tcsetwinsize(other_end, (24, 80))
    environment = {**os.environ, "TERM": "linux"}
    with subprocess.Popen([sys.executable, GAME], stdin=other_end, stdout=other_end, env=environment) as game:
        os.close(other_end)
        shown = b""
        while not (b"Score 0   Lives 5" in shown and b"\\___/" in shown):
            shown += os.read(terminal, 4096)
        os.write(terminal, b"\x1b[Dq")
        assert game.wait(TIMEOUT_S) == 0
    os.close(terminal)


def test_the_service_of_the_keys_starts_the_command_of_the_page() -> None:
    (words,) = re.findall(
        r"(?m)^ExecStart=/usr/local/bin/edge-daemon keys (.*)$", block("arcade-game.md", "ini")
    )
    assert shlex.split(words) == arguments("arcade-game.md", "keys", Path(CONFIG))
