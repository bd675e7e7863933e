"""Gestures on the panel's buttons: press, hold, long press and chord. Pure; the caller passes the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from edge_daemon.config.panel import ButtonOptions, PanelOptions
from edge_daemon.domain.commands import AddExample, Clear, LearnScene, Origin, Trigger, Undo
from edge_daemon.domain.events import Button, ConfirmPending
from edge_daemon.panel.debounce import Debouncer, Edge

GestureResult: TypeAlias = AddExample | Undo | Clear | Trigger | LearnScene | Button | ConfirmPending
"""A command for the pipeline or an event for the sinks, in the order in which they are sent."""


@dataclass(slots=True)
class _Held:
    """A button that is down. `due_s` is the time of its next burst example or long press, None for none."""

    due_s: float | None
    group: str = ""
    left: int = 0


@dataclass(frozen=True, slots=True)
class _Pending:
    """A clear that waits for confirmation by a press of button `pin`."""

    pin: int
    label: str | None
    until_s: float


class Gestures:
    """Turns settled presses into commands and events.

    - **Label button, press**: one example at once, of the time at which the contacts first moved.
    - **Label button, hold**: after `hold_s` more examples at `burst_per_s`, at most `burst_limit`.
      A press and its burst share a group, since their frames are nearly the same.
    - **Undo button, long press**: one undo. A short press does nothing, so a slip removes no example.
    - **Chord, undo held and a label button pressed**: asks to clear that label; with a second
      label button, to clear everything. A press of undo within `confirm_s` confirms.
    - **Clear button, press**: asks to clear everything; a second press of it confirms.
    - **Scene button, press**: learns the scene from the frames after the press.
    - **Trigger, press**: an object is in view. The trigger is a sensor: it makes no button event and cancels
      no pending clear.

    Any other press, or none within `confirm_s`, cancels the pending clear.
    """

    def __init__(
        self, buttons: Sequence[ButtonOptions], options: PanelOptions, new_group: Callable[[], str]
    ) -> None:
        self._buttons = {button.pin: button for button in buttons}
        self._options = options
        self._new_group = new_group
        self._held: dict[int, _Held] = {}
        self._pending: _Pending | None = None

    @property
    def next_deadline(self) -> float | None:
        """Time at which `advance` will next return something; None while no button is held."""
        return min((held.due_s for held in self._held.values() if held.due_s is not None), default=None)

    def press(self, pin: int, pressed_s: float) -> list[GestureResult]:
        """Process a press; `pressed_s` is the first movement of the contacts."""
        button = self._buttons[pin]
        if button.action == "trigger":
            return [Trigger(pressed_s, _origin(button), button.region)]
        pending = self._pop_pending(pressed_s)
        undo_pin = self._held_undo_pin()
        self._held[pin] = _Held(due_s=None)
        if button.label is not None and undo_pin is not None:
            return self._chord(button, undo_pin, pending, pressed_s)
        if pending is not None and pending.pin == pin:
            return [Button(button.name, "press"), Clear(_origin(button), pending.label)]
        return [Button(button.name, "press"), *self._begin(button, pressed_s)]

    def release(self, pin: int) -> list[GestureResult]:
        """Process a release."""
        button = self._buttons[pin]
        if button.action == "trigger":
            return []
        self._held.pop(pin, None)
        return [Button(button.name, "release")]

    def advance(self, now: float) -> list[GestureResult]:
        """Return the results of holding buttons until `now`.

        A late call returns one burst example, not those missed.
        """
        results: list[GestureResult] = []
        for pin, held in self._held.items():
            if held.due_s is not None and held.due_s <= now:
                due_s, held.due_s = held.due_s, None
                results += self._hold(self._buttons[pin], held, due_s, now)
        return results

    def _begin(self, button: ButtonOptions, pressed_s: float) -> list[GestureResult]:
        held = self._held[button.pin]
        if button.label is not None:
            if button.hold == "burst":
                held.group, held.left = self._new_group(), self._options.burst_limit
                held.due_s = pressed_s + self._options.hold_s
            return [_example(button, pressed_s, held.group, button.uncertain_s)]
        if button.action == "undo":
            held.due_s = pressed_s + self._options.long_press_s
            return []
        if button.action == "scene":
            return [LearnScene(pressed_s, _origin(button), button.region)]
        return [self._request_clear(button.pin, None, pressed_s)]

    def _chord(
        self, button: ButtonOptions, undo_pin: int, pending: _Pending | None, pressed_s: float
    ) -> list[GestureResult]:
        """Ask to clear the label of `button`, or everything if a clear of another label is pending."""
        self._held[undo_pin].due_s = None
        is_second = pending is not None and pending.pin == undo_pin and pending.label != button.name
        request = self._request_clear(undo_pin, None if is_second else button.name, pressed_s)
        return [Button(button.name, "chord"), request]

    def _request_clear(self, pin: int, label: str | None, pressed_s: float) -> ConfirmPending:
        self._pending = _Pending(pin, label, pressed_s + self._options.confirm_s)
        return ConfirmPending(self._options.confirm_s, label)

    def _pop_pending(self, now: float) -> _Pending | None:
        pending, self._pending = self._pending, None
        return pending if pending is not None and now <= pending.until_s else None

    def _held_undo_pin(self) -> int | None:
        return next((pin for pin in self._held if self._buttons[pin].action == "undo"), None)

    def _hold(self, button: ButtonOptions, held: _Held, due_s: float, now: float) -> list[GestureResult]:
        if button.action == "undo":
            return [Button(button.name, "long_press"), Undo(_origin(button))]
        first = held.left == self._options.burst_limit
        held.left -= 1
        if held.left > 0:
            held.due_s = self._next_burst_s(due_s, now)
        hold: list[GestureResult] = [Button(button.name, "hold")] if first else []
        return [*hold, _example(button, now, held.group)]

    def _next_burst_s(self, due_s: float, now: float) -> float:
        interval_s = 1 / self._options.burst_per_s
        return due_s + interval_s if due_s + interval_s > now else now + interval_s


def _example(button: ButtonOptions, pressed_s: float, group: str, uncertain_s: float = 0.0) -> AddExample:
    return AddExample(button.name, pressed_s, _origin(button), button.region, group, uncertain_s)


def _origin(button: ButtonOptions) -> Origin:
    return Origin("gpio", button.name)


class ButtonDecoder:
    """Debounces the levels of all buttons and decodes their gestures. Pure.

    All times are those of the edges, not of the calls, so a call that is seconds late still decodes a short
    press as a short press. `pressed` gives the levels at the start; a button that is down then counts only
    after its release.
    """

    def __init__(
        self,
        buttons: Sequence[ButtonOptions],
        options: PanelOptions,
        pressed: Mapping[int, bool],
        new_group: Callable[[], str],
    ) -> None:
        settle_s = options.debounce_ms / 1000
        self._debouncers = {pin: Debouncer(pressed=down, settle_s=settle_s) for pin, down in pressed.items()}
        self._gestures = Gestures(buttons, options, new_group)

    @property
    def next_deadline(self) -> float | None:
        """Latest time for the next call of `advance`; None while no button moves or is held."""
        deadlines = [debouncer.next_deadline for debouncer in self._debouncers.values()]
        deadlines.append(self._gestures.next_deadline)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def update(self, pin: int, pressed: bool, at_s: float) -> list[GestureResult]:
        """Process the raw level of one button at `at_s`.

        On a busy machine `at_s` may be before the last `advance`, but not before the button's last edge.
        """
        results = self.advance(at_s)
        edge = self._debouncers[pin].update(pressed, at_s)
        return results if edge is None else [*results, *self._decode(pin, edge)]

    def advance(self, now: float) -> list[GestureResult]:
        """Return the results of edges that have settled, and of buttons held, by `now`."""
        settled = [(pin, debouncer.advance(now)) for pin, debouncer in self._debouncers.items()]
        edges = [(pin, edge) for pin, edge in settled if edge is not None]
        results: list[GestureResult] = []
        for pin, edge in sorted(edges, key=lambda each: each[1].settled_s):
            results += self._gestures.advance(edge.settled_s)
            results += self._decode(pin, edge)
        return [*results, *self._gestures.advance(now)]

    def _decode(self, pin: int, edge: Edge) -> list[GestureResult]:
        return self._gestures.press(pin, edge.first_s) if edge.pressed else self._gestures.release(pin)
