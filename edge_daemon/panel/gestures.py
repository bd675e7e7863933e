"""What the presses of a panel mean: pure, the caller brings settled presses and the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from edge_daemon.config.panel import ButtonOptions, PanelOptions
from edge_daemon.domain.commands import AddExample, Clear, Origin, Trigger, Undo
from edge_daemon.domain.events import Button, ConfirmPending
from edge_daemon.panel.debounce import Debouncer, Edge

Meaning: TypeAlias = AddExample | Undo | Clear | Trigger | Button | ConfirmPending
"""A command for the pipeline or an event for the sinks, in the order they should go out."""


@dataclass(slots=True)
class _Held:
    """A button that is down. `due_s` is when its hold or long press happens next; None is never."""

    due_s: float | None
    group: str = ""
    left: int = 0


@dataclass(frozen=True, slots=True)
class _Pending:
    """A clear that waits for its second press, on button `pin`."""

    pin: int
    label: str | None
    until_s: float


class Gestures:
    """Reads presses as a maker means them.

    - **Label button, press**: one example, at once, of the moment the contacts first moved.
    - **Label button, hold**: after `hold_s` more examples at `burst_per_s`, at most `burst_limit`.
      A press and its burst share a group, since they show nearly the same.
    - **Undo button, long press**: one undo. A short press does nothing, so a brush loses nothing.
    - **Chord, undo held and a label button pressed**: asks to clear that label; with a second
      label button, to clear everything. A press of undo within `confirm_s` confirms.
    - **Clear button, press**: asks to clear everything; a second press of it confirms.
    - **Trigger, press**: an object is before the camera. It is no finger: it makes no
      button event and cancels nothing.

    Any other press, or no press, cancels what was asked.
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
        """When `advance` will next have something to say; None while nothing is held."""
        return min((held.due_s for held in self._held.values() if held.due_s is not None), default=None)

    def press(self, pin: int, pressed_s: float) -> list[Meaning]:
        """Take a press; `pressed_s` is when the contacts first moved."""
        button = self._buttons[pin]
        if button.action == "trigger":
            return [Trigger(pressed_s, _origin(button), button.region)]
        pending = self._take_pending(pressed_s)
        undo_pin = self._held_undo()
        self._held[pin] = _Held(due_s=None)
        if button.label is not None and undo_pin is not None:
            return self._chord(button, undo_pin, pending, pressed_s)
        if pending is not None and pending.pin == pin:
            return [Button(button.name, "press"), Clear(_origin(button), pending.label)]
        return [Button(button.name, "press"), *self._begin(button, pressed_s)]

    def release(self, pin: int) -> list[Meaning]:
        """Take a release."""
        button = self._buttons[pin]
        if button.action == "trigger":
            return []
        self._held.pop(pin, None)
        return [Button(button.name, "release")]

    def advance(self, now: float) -> list[Meaning]:
        """Return what holding has caused by `now`.

        A burst that fell behind, because the caller came late, isn't made up for.
        """
        meanings: list[Meaning] = []
        for pin, held in self._held.items():
            if held.due_s is not None and held.due_s <= now:
                due_s, held.due_s = held.due_s, None
                meanings += self._fall_due(self._buttons[pin], held, due_s, now)
        return meanings

    def _begin(self, button: ButtonOptions, pressed_s: float) -> list[Meaning]:
        held = self._held[button.pin]
        if button.label is not None:
            if button.hold == "burst":
                held.group, held.left = self._new_group(), self._options.burst_limit
                held.due_s = pressed_s + self._options.hold_s
            return [_example(button, pressed_s, held.group, button.uncertain_s)]
        if button.action == "undo":
            held.due_s = pressed_s + self._options.long_press_s
            return []
        return [self._ask(button.pin, None, pressed_s)]

    def _chord(
        self, button: ButtonOptions, undo_pin: int, pending: _Pending | None, pressed_s: float
    ) -> list[Meaning]:
        """Ask to clear the label of `button`, or everything when the chord already asks for another."""
        self._held[undo_pin].due_s = None
        wider = pending is not None and pending.pin == undo_pin and pending.label != button.name
        question = self._ask(undo_pin, None if wider else button.name, pressed_s)
        return [Button(button.name, "chord"), question]

    def _ask(self, pin: int, label: str | None, pressed_s: float) -> ConfirmPending:
        self._pending = _Pending(pin, label, pressed_s + self._options.confirm_s)
        return ConfirmPending(self._options.confirm_s, label)

    def _take_pending(self, now: float) -> _Pending | None:
        pending, self._pending = self._pending, None
        return pending if pending is not None and now <= pending.until_s else None

    def _held_undo(self) -> int | None:
        return next((pin for pin in self._held if self._buttons[pin].action == "undo"), None)

    def _fall_due(self, button: ButtonOptions, held: _Held, due_s: float, now: float) -> list[Meaning]:
        if button.action == "undo":
            return [Button(button.name, "long_press"), Undo(_origin(button))]
        first = held.left == self._options.burst_limit
        held.left -= 1
        if held.left > 0:
            held.due_s = self._next_burst(due_s, now)
        hold: list[Meaning] = [Button(button.name, "hold")] if first else []
        return [*hold, _example(button, now, held.group)]

    def _next_burst(self, due_s: float, now: float) -> float:
        interval_s = 1 / self._options.burst_per_s
        return due_s + interval_s if due_s + interval_s > now else now + interval_s


def _example(button: ButtonOptions, pressed_s: float, group: str, uncertain_s: float = 0.0) -> AddExample:
    return AddExample(button.name, pressed_s, _origin(button), button.region, group, uncertain_s)


def _origin(button: ButtonOptions) -> Origin:
    return Origin("gpio", button.name)


class ButtonDecoder:
    """Pure: takes levels with their times and returns meanings.

    Times are those of the edges, not of the call, so a caller that was held up for seconds still
    reads a short press as a short press. `pressed` is how the buttons stand at the start; one that
    is down then counts as pressed only after it was released.
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
        """When `advance` should be called next at the latest; None while everything rests."""
        deadlines = [debouncer.next_deadline for debouncer in self._debouncers.values()]
        deadlines.append(self._gestures.next_deadline)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def update(self, pin: int, pressed: bool, at_s: float) -> list[Meaning]:
        """Take the raw level of one button as it was at `at_s`.

        It may be older than the last `advance`, when the machine held the edge up, but no older than the
        button's last edge.
        """
        meanings = self.advance(at_s)
        edge = self._debouncers[pin].update(pressed, at_s)
        return meanings if edge is None else [*meanings, *self._settle(pin, edge)]

    def advance(self, now: float) -> list[Meaning]:
        """Return what has settled or fallen due by `now`."""
        settled = [(pin, debouncer.advance(now)) for pin, debouncer in self._debouncers.items()]
        edges = [(pin, edge) for pin, edge in settled if edge is not None]
        meanings: list[Meaning] = []
        for pin, edge in sorted(edges, key=lambda each: each[1].settled_s):
            meanings += self._gestures.advance(edge.settled_s)
            meanings += self._settle(pin, edge)
        return [*meanings, *self._gestures.advance(now)]

    def _settle(self, pin: int, edge: Edge) -> list[Meaning]:
        return self._gestures.press(pin, edge.first_s) if edge.pressed else self._gestures.release(pin)
