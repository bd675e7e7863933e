"""The documented Arduino sketch, compiled for the board and run in a simulator, with the whole daemon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.harness.arduino import AVAILABLE, ArduinoUno, build_simulator, build_sketch
from tests.harness.daemon_harness import Stage, Turntable

SKETCH = Path(__file__).parents[2] / "docs/recipes/arduino_label/arduino_label.ino"
REST, CAT, DOG = 1500, 1000, 2000


@pytest.mark.skipif(not AVAILABLE, reason="arduino-core-avr and libsimavr-dev are not installed")
def test_the_servo_follows_the_label_and_the_button_teaches(tmp_path: Path) -> None:
    program, simulator = build_sketch(SKETCH, tmp_path), build_simulator(tmp_path)
    red, blue = (np.full((120, 160, 3), colour, np.uint8) for colour in ((200, 40, 40), (20, 40, 220)))
    source = Turntable(red)
    with ArduinoUno(program, simulator) as board:
        board.wait_for_pulse(REST)
        settings = [f"serial.port={board.port}", "mqtt.host=null", "buttons=[{pin: 17, label: dog}]"]
        with Stage(source, settings, tmp_path) as stage:
            board.press()
            board.wait_for_pulse(CAT)
            source.picture = blue
            stage.click(17)
            board.wait_for_pulse(DOG)
            source.broken = True
            board.wait_for_pulse(REST)
            source.broken = False
            board.wait_for_pulse(DOG)
        board.wait_for_pulse(REST)
