"""Wiring and configuration of the device under test."""

from __future__ import annotations

from tests.box.service import CONFIG
from tests.box.subscriber import BROKER

BUTTON_BARS, BUTTON_RED, BUTTON_UNDO = 17, 27, 22
LED_BARS, LED_RED, LED_READY, LED_CAPTURED, LED_ERROR = 5, 6, 23, 24, 25

SETTINGS = f"""\
device: {{id: box}}
camera: {{type: picamera2, size: [320, 240]}}
buttons:
  - {{pin: {BUTTON_BARS}, label: bars, led: {LED_BARS}}}
  - {{pin: {BUTTON_RED}, label: red, led: {LED_RED}}}
  - {{pin: {BUTTON_UNDO}, action: undo}}
panel:
  leds: {{ready: {LED_READY}, captured: {LED_CAPTURED}, error: {LED_ERROR}}}
mqtt: {{host: {BROKER}, keepalive_s: 5, max_reconnect_s: 5}}
store: {{path: /var/lib/edge_daemon/examples.sqlite}}
"""


def configure(extra: str = "") -> None:
    """Write the configuration of the device, followed by `extra` sections."""
    CONFIG.write_text(SETTINGS + extra)
