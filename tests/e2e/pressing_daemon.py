"""A daemon whose first button is clicked without end, to be killed: `python -m tests.e2e.pressing_daemon`."""

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
    # gpiozero makes a pin when it is first asked for: by two threads at once, each would get its own.
    presser.release(config.buttons[0].pin)
    daemon = build(config, pin_factory=presser.factory)
    threading.Thread(target=_click_for_ever, args=(presser, config.buttons[0].pin), daemon=True).start()
    daemon.run()


def _click_for_ever(presser: SimulatedButtons, pin: int) -> None:
    while True:
        presser.press(pin)
        time.sleep(CLICK_S)
        presser.release(pin)
        time.sleep(CLICK_S)


if __name__ == "__main__":
    main()
