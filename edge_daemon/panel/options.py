"""The `buttons:` and `leds:` sections."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edge_daemon.options import Options, Seconds

Pin = Annotated[int, Meta(ge=0, le=27, description="BCM pin number")]


class ButtonOptions(Options):
    """One button: it teaches a `label` or does an `action`. `led` lights while its label is current."""

    pin: Pin
    label: str | None = None
    action: Literal["undo", "clear"] | None = None
    led: Pin | None = None
    region: str | None = None
    pull: Literal["up", "down"] = "up"
    hold: Literal["burst", "none"] = "burst"


class LedOptions(Options):
    """Status LEDs that belong to no button; each may be left out."""

    ready: Pin | None = None
    captured: Pin | None = None
    busy: Pin | None = None
    error: Pin | None = None


class PanelOptions(Options):
    """How presses are read; times in milliseconds and seconds."""

    debounce_ms: Annotated[float, Meta(ge=0, le=1000)] = 25.0
    hold_s: Seconds = 0.6
    burst_per_s: Annotated[float, Meta(gt=0, le=30)] = 4.0
    long_press_s: Seconds = 1.5
    confirm_s: Seconds = 5.0
    leds: LedOptions = LedOptions()
