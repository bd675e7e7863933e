"""The `buttons:` and `panel:` sections, and the checks across their keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from msgspec import Meta

from edge_daemon.config.base import ConfigSection, Positive, Seconds
from edge_daemon.domain.labels import check_label

Pin = Annotated[int, Meta(ge=0, le=27, description="BCM pin number", extra={"scalar": "pin"})]
KeyPath = tuple[str | int, ...]


class ButtonOptions(ConfigSection, frozen=True):
    """One button, which teaches a `label` or does an `action`. `led` is on while the label is current.

    `region` None teaches the first region. If `uncertain_s` > 0, a press labels the most recent uncertain
    frame of the last `uncertain_s` seconds, if any: on a conveyor the object has left the view by then.
    The action `trigger` is for a light barrier: an object is in view from the press on. The action `scene`
    learns the scene without an object, of `region` or of every region.
    """

    pin: Pin
    label: str | None = None
    action: Literal["undo", "clear", "trigger", "scene"] | None = None
    led: Pin | None = None
    region: str | None = None
    pull: Literal["up", "down"] = "up"
    hold: Literal["burst", "none"] = "burst"
    uncertain_s: Seconds = 0.0

    @property
    def name(self) -> str:
        """The normalised label, or the action."""
        return check_label(self.label) if self.label is not None else str(self.action)


class LedOptions(ConfigSection, frozen=True):
    """Status LEDs; each may be left out."""

    ready: Pin | None = None
    captured: Pin | None = None
    busy: Pin | None = None
    error: Pin | None = None


class PanelOptions(ConfigSection, frozen=True):
    """Debouncing and gestures of the buttons.

    `burst_limit` is the maximum number of examples of one hold, for a jammed button.
    """

    debounce_ms: Annotated[float, Meta(ge=0, le=1000)] = 25.0
    hold_s: Seconds = 0.6
    burst_per_s: Annotated[float, Meta(ge=0.01, le=30)] = 4.0
    burst_limit: Positive = 100
    long_press_s: Seconds = 1.5
    confirm_s: Seconds = 5.0
    leds: LedOptions = LedOptions()


def pins_in_use(buttons: Sequence[ButtonOptions], leds: LedOptions) -> dict[int, str]:
    """Return a description of the use of each BCM number in use."""
    used = {button.pin: f"button '{button.name}'" for button in buttons}
    used |= {button.led: f"LED of '{button.name}'" for button in buttons if button.led is not None}
    status = {name: getattr(leds, name) for name in leds.__struct_fields__}
    return used | {pin: f"LED {name}" for name, pin in status.items() if pin is not None}


def label_uses(buttons: Sequence[ButtonOptions]) -> dict[str, list[str]]:
    """Return a description of each button that teaches a label, by label."""
    uses: dict[str, list[str]] = {}
    for index, button in enumerate(buttons):
        if button.label is not None:
            uses.setdefault(button.name, []).append(
                f"buttons[{index}] (BCM {button.pin}) still teaches '{button.name}'"
            )
    return uses


def panel_faults(buttons: Sequence[ButtonOptions], panel: PanelOptions) -> Iterator[tuple[KeyPath, str]]:
    """Yield each fault as (path of the key, fault and remedy)."""
    for index, button in enumerate(buttons):
        for key, text in _button_faults(button):
            yield ("buttons", index, key), f"button {index + 1} (BCM {button.pin}): {text}"
    used: dict[int, str] = {}
    for path, owner, pin in _claims(buttons, panel.leds):
        if pin in used:
            yield path, f"BCM {pin} is used twice: by {used[pin]} and by {owner}; give each its own pin"
        used.setdefault(pin, owner)


def _button_faults(button: ButtonOptions) -> Iterator[tuple[str, str]]:
    if button.label is None and button.action is None:
        yield (
            "label",
            "it does nothing; give it a label to teach, or an action: trigger, undo, clear or scene",
        )
    if button.label is not None and button.action is not None:
        yield "action", f"it has label '{button.label}' and action '{button.action}'; give it one of them"
    if button.label is None and button.led is not None:
        yield (
            "led",
            "an led shows a button's label, and this one has none; status LEDs belong under panel.leds",
        )
    if button.action in ("undo", "clear") and button.region is not None:
        yield "region", f"a button with the action {button.action} has no region; leave region out"


def _claims(buttons: Sequence[ButtonOptions], leds: LedOptions) -> Iterator[tuple[KeyPath, str, int]]:
    """Yield every pin in use as (path of its key, description of its owner, pin)."""
    for index, button in enumerate(buttons):
        yield ("buttons", index, "pin"), f"button {index + 1}", button.pin
        if button.led is not None:
            yield ("buttons", index, "led"), f"the led of button {index + 1}", button.led
    for name in leds.__struct_fields__:
        pin: int | None = getattr(leds, name)
        if pin is not None:
            yield ("panel", "leds", name), f"panel.leds.{name}", pin
