"""Faults of the GPIO chip, and the directory of lgpio's FIFO."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from gpiozero import PinPWMUnsupported

from edge_daemon.domain.errors import PanelError
from edge_daemon.panel.pin_factory import (
    claiming_pin,
    explaining_chip,
    gpio_fault,
    lgpio_home,
    mock_factory,
    servo_device,
)
from tests.board.roots import BOARDS, lay_out_chips


def test_a_missing_chip_is_named(tmp_path: Path) -> None:
    text = gpio_fault(tmp_path)

    assert text is not None
    assert "there is no GPIO chip" in text


def test_a_chip_that_may_not_be_opened_names_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpiochip0").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may open anything

    text = gpio_fault(tmp_path)

    assert text is not None
    assert f"may not open {tmp_path}/gpiochip0" in text
    assert "usermod -aG gpio" in text


def test_the_chip_of_the_header_has_to_be_accessible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay_out_chips(tmp_path, BOARDS["Pi 5, Linux 6.6.20"])
    monkeypatch.setattr(os, "access", lambda path, *_: not str(path).endswith("gpiochip4"))

    assert f"may not open {root}/dev/gpiochip4" in (gpio_fault(root / "dev") or "")


def test_a_missing_lgpio_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpiochip0").touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    assert "python3-lgpio" in (gpio_fault(tmp_path) or "")


def test_a_usable_chip_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpiochip0").touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())

    assert gpio_fault(tmp_path) is None


def test_an_error_without_a_text_is_named() -> None:
    with (
        pytest.raises(PanelError, match=r"^the LED can't use BCM 12: PinPWMUnsupported$"),
        claiming_pin(12, "the LED"),
    ):
        raise PinPWMUnsupported
    with (
        mock.patch("edge_daemon.panel.pin_factory.gpio_fault", return_value=None),
        pytest.raises(PanelError, match=r"^buttons and LEDs can't be used: TimeoutError$"),
        explaining_chip(),
    ):
        raise TimeoutError


def test_pins_without_pulses_for_a_servo_are_named_with_the_remedy() -> None:
    with (
        mock.patch("gpiozero.Servo", side_effect=PinPWMUnsupported),
        pytest.raises(PanelError, match=r"'bolt' can't use BCM 12: .* makes no pulses .* unset it"),
        claiming_pin(12, "the output of 'bolt'"),
    ):
        servo_device(12, mock_factory())


def test_directory_and_environment_are_restored_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, elsewhere = tmp_path / "runtime", tmp_path / "elsewhere"
    runtime.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{runtime}:/run/other")
    monkeypatch.setenv("LG_WD", "/mine")

    directories = []

    def fail() -> None:
        with lgpio_home():
            directories.append(Path(os.environ["LG_WD"]))
            os.chdir(directories[0])
            raise ImportError

    with pytest.raises(ImportError):
        fail()

    assert directories[0].parent == runtime
    assert not directories[0].exists()
    assert Path.cwd() == elsewhere
    assert os.environ["LG_WD"] == "/mine"


@pytest.mark.skipif(importlib.util.find_spec("lgpio") is None, reason="lgpio is for boards with GPIO lines")
def test_the_real_lgpio_is_imported_without_leaving_a_trace(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path.cwd())!r})
from edge_daemon.panel.pin_factory import lgpio_home
with lgpio_home():
    import lgpio
import os
print(os.getcwd())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "RUNTIME_DIRECTORY": ""},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(tmp_path)]
    assert list(tmp_path.iterdir()) == []
