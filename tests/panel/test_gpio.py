"""The gpiozero adapter: real gpiozero code on its mock pins, and without a GPIO chip."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.exc import PinFactoryFallback

from edge_daemon.board.gpio import header_chip
from edge_daemon.config.panel import ButtonOptions
from edge_daemon.domain.errors import PanelError
from edge_daemon.panel.gpio import GpioPins
from edge_daemon.panel.pin_factory import lgpio_home, mock_factory
from edge_daemon.panel.simulated_buttons import SimulatedButtons
from tests.board.roots import BOARDS, lay_out_chips

CAT = ButtonOptions(pin=17, label="cat")


def ignore(_pin: int, _pressed: bool, _age_s: float) -> None:
    """Ignore an edge."""


@pytest.mark.parametrize("pull", ["up", "down"])
def test_edges_arrive_as_presses_with_either_pull(pull: str) -> None:
    buttons, edges = SimulatedButtons(), list[tuple[int, bool]]()
    button = ButtonOptions(pin=17, label="cat", pull="up" if pull == "up" else "down")
    pins = GpioPins(buttons.factory)

    levels = pins.open([button], [], lambda pin, pressed, _: edges.append((pin, pressed)))
    buttons.press(17)
    down = pins.pressed(17)
    buttons.release(17)

    assert levels == {17: False}
    assert down
    assert edges == [(17, True), (17, False)]


@pytest.mark.parametrize(("delay_s", "reported_s"), [(0.4, 0.4), (1.7e9, 0.0), (-1.7e9, 0.0)])
def test_an_edge_has_its_age(delay_s: float, reported_s: float) -> None:
    """An impossible age comes from another clock than the library's and counts as 0."""
    buttons, ages = SimulatedButtons(), list[float]()
    buttons.factory.ticks = lambda: time.monotonic() + delay_s
    pins = GpioPins(buttons.factory)
    pins.open([CAT], [], lambda _pin, _pressed, age_s: ages.append(age_s))
    buttons.press(17)
    assert ages == [pytest.approx(reported_s, abs=0.3)]


def test_an_led_is_switched_and_is_off_after_close() -> None:
    buttons = SimulatedButtons()
    pins = GpioPins(buttons.factory)
    pins.open([], [5], ignore)
    pins.light(5, True)
    assert buttons.is_lit(5)
    pins.light(5, False)
    assert not buttons.is_lit(5)
    pins.light(5, True)
    pins.close()
    assert not buttons.is_lit(5)


def test_after_close_no_edge_arrives_and_the_pin_can_be_opened_again() -> None:
    buttons, edges = SimulatedButtons(), list[int]()
    pins = GpioPins(buttons.factory)
    pins.open([CAT], [], lambda pin, *_: edges.append(pin))
    pins.close()
    pins.close()
    buttons.press(17)
    assert edges == []

    pins.open([CAT], [], lambda pin, *_: edges.append(pin))
    buttons.press(17)
    assert edges == [17]


def test_a_pull_that_the_board_forbids_names_the_button_and_frees_the_rest() -> None:
    buttons = SimulatedButtons()
    pins = GpioPins(buttons.factory)

    with pytest.raises(PanelError, match=r"button 'dog' can't use BCM 2: .*fixed pull") as caught:
        pins.open([CAT, ButtonOptions(pin=2, label="dog", pull="down")], [], ignore)

    assert "\n" not in str(caught.value)
    GpioPins(buttons.factory).open([CAT], [], ignore)  # would raise if BCM 17 were still claimed


def test_a_pin_that_another_part_of_the_process_holds_is_named() -> None:
    buttons = SimulatedButtons()
    holder = GpioPins(buttons.factory)
    holder.open([CAT], [], ignore)

    with pytest.raises(PanelError, match="an LED can't use BCM 17"):
        GpioPins(buttons.factory).open([], [17], ignore)
    holder.close()


NO_CHIP = pytest.mark.skipif(any(Path("/dev").glob("gpiochip*")), reason="this machine has GPIO lines")

OPEN = """
import os, threading
from edge_daemon.panel.gpio import GpioPins
from edge_daemon.config.panel import ButtonOptions
from edge_daemon.domain.errors import PanelError
try:
    GpioPins().open([ButtonOptions(pin=17, label="cat")], [], print)
    print("opened")
except PanelError as exc:
    print(exc)
print(os.getcwd(), os.environ.get("LG_WD"))
"""


def run_in_process(code: str, folder: Path, **environment: str) -> list[str]:
    """Run code in another process with working directory `folder`; return its output lines."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GPIOZERO", "LG_WD"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(Path.cwd()), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@NO_CHIP
def test_without_a_gpio_chip_the_error_is_one_line_and_no_file_is_left(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()

    lines = run_in_process(OPEN, tmp_path, RUNTIME_DIRECTORY=str(runtime))

    assert len(lines) == 2
    assert "there is no GPIO chip" in lines[0]
    assert "GPIOZERO_PIN_FACTORY=mock" in lines[0]
    assert lines[1] == f"{tmp_path} None"
    assert [path.name for path in tmp_path.rglob("*")] == ["runtime"]


@pytest.mark.parametrize(
    ("board", "number"), [("Pi 5, Linux 6.6.20", 4), ("Pi 5, Linux 6.6.47", 0), ("Pi 4", 0)]
)
@pytest.mark.skipif(find_spec("lgpio") is None, reason="lgpio is for boards with GPIO lines")
def test_the_chip_is_opened_by_its_label_each_time(
    board: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[int]()
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    monkeypatch.setattr(Device, "pin_factory", None)
    root = lay_out_chips(tmp_path / "before", BOARDS[board])
    monkeypatch.setattr("edge_daemon.panel.pin_factory.header_chip", lambda: header_chip(root))
    with lgpio_home():
        import lgpio
    monkeypatch.setattr(lgpio, "gpiochip_open", opened.append)
    monkeypatch.setattr(lgpio, "gpiochip_close", lambda handle: 0)
    pins = GpioPins()
    pins.open([], [], ignore)
    pins.close()
    root = lay_out_chips(tmp_path / "after", {7: "pinctrl-bcm2711"})
    pins.open([], [], ignore)
    pins.close()
    assert opened == [number, 7]


def test_the_factory_of_the_environment_is_used(tmp_path: Path) -> None:
    assert run_in_process(OPEN, tmp_path, GPIOZERO_PIN_FACTORY="mock")[0] == "opened"


def test_an_unknown_factory_is_a_named_error(tmp_path: Path) -> None:
    [text, _] = run_in_process(OPEN, tmp_path, GPIOZERO_PIN_FACTORY="telegraph")

    assert text.startswith("buttons and LEDs can't be used: ")


def test_a_fallback_of_gpiozero_is_logged_and_deprecation_warnings_are_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def choose() -> None:
        warnings.warn("Falling back from lgpio: no such chip", PinFactoryFallback, stacklevel=1)
        warnings.warn(
            "builtin type SwigPyObject has no __module__ attribute", DeprecationWarning, stacklevel=1
        )

    monkeypatch.setattr(Device, "pin_factory", mock_factory())
    monkeypatch.setattr(Device, "ensure_pin_factory", choose)
    GpioPins().open([], [], ignore)
    assert caplog.messages == ["Falling back from lgpio: no such chip"]


def test_importing_the_panel_needs_no_gpiozero() -> None:
    code = """
import sys
sys.modules["gpiozero"] = None
import edge_daemon.panel.panel, edge_daemon.panel.gpio, edge_daemon.panel.simulated_buttons
from edge_daemon.domain.errors import PanelError
try:
    edge_daemon.panel.gpio.GpioPins().open([], [], print)
except PanelError as exc:
    print(exc)
"""
    assert run_in_process(code, Path.cwd()) == ["the Python module gpiozero is missing; pip install gpiozero"]
