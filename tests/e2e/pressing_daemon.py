"""A daemon that is killed while its first button is clicked: `python -m tests.e2e.pressing_daemon`."""

from __future__ import annotations

import sys
import threading
import time

from edge_daemon.app.build import build
from edge_daemon.config.schema import load_config
from edge_daemon.panel.simulated_buttons import SimulatedButtons

CLICK_S = 0.04


def main() -> None:
    config = load_config(None, sys.argv[1:])
    presser = SimulatedButtons()
    # gpiozero creates a pin at its first use: two threads at once would each get their own.
    presser.release(config.buttons[0].pin)
    daemon = build(config, pin_factory=presser.factory)
    threading.Thread(target=_click_repeatedly, args=(presser, config.buttons[0].pin), daemon=True).start()
    daemon.run()


def _click_repeatedly(presser: SimulatedButtons, pin: int) -> None:
    while True:
        presser.press(pin)
        time.sleep(CLICK_S)
        presser.release(pin)
        time.sleep(CLICK_S)


if __name__ == "__main__":
    main()
