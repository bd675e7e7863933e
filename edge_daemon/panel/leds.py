"""LED patterns of the panel. Pure: events and times in, lit pins out."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

from edge_daemon.config.panel import ButtonOptions, LedOptions
from edge_daemon.domain.commands import LearnScene
from edge_daemon.domain.events import (
    AnotherSessionAdvised,
    Button,
    CameraLost,
    CameraRestored,
    Cleared,
    CommandReply,
    ConfirmPending,
    Event,
    ExampleAdded,
    ExamplesChanged,
    ExamplesKept,
    ExamplesNotKept,
    LabelChanged,
    Ready,
    SceneChanged,
    SceneLearned,
)
from edge_daemon.domain.types import Evaluation

CAPTURED_S = 0.15
ERROR_S = 2.0

DOUBLE_FLASH_S = 4.5
"""Duration of a double flash that reports an event: three repetitions."""

CHANGED_S = 60.0
"""Longest double flash for a changed scene that the device learns by itself: a moving camera has none."""

_STEP_S = 0.125


class Pattern(enum.Enum):
    """Blinking of an LED: lit (1) or dark (0) in each eighth of a second, repeated.

    An eighth is exact in binary, so that every deadline is exactly the time of a change.
    """

    OFF = "0"
    ON = "1"
    SLOW = "11110000"
    FAST = "10"
    DOUBLE_FLASH = "101000000000"

    def is_lit(self, now: float) -> bool:
        """Return whether the LED is lit at `now`."""
        return self._step(math.floor(now / _STEP_S))

    def next_change(self, now: float) -> float | None:
        """Return the time of the next change of a blinking LED; None for a steady one."""
        first = math.floor(now / _STEP_S)
        changes = (
            step
            for step in range(first + 1, first + len(self.value) + 1)
            if self._step(step) != self._step(first)
        )
        step = next(changes, None)
        return None if step is None else step * _STEP_S

    def _step(self, number: int) -> bool:
        return self.value[number % len(self.value)] == "1"


class Leds:
    """The state of all LEDs. Owned by the panel thread.

    - **label**: steady for the current label of its region; slow blink while the evaluation recommends more
      examples of it; fast blink while a clear of it waits for confirmation; double flash when it should be
      shown in other light or on another day.
    - **ready**: slow blink until the first frame is classified, then steady; off without a camera; double
      flash while a region does not show the scene that was learned.
    - **captured**: a flash for each example on disk; double flash when a scene was learned.
    - **busy**: steady while a command waits for its reply; fast blink while a clear waits for confirmation.
    - **error**: steady for `ERROR_S` after a press was refused; slow blink while the camera is lost;
      fast blink while examples would not survive a reboot; double flash after a refused press for a scene.

    While the camera is lost the label LEDs are off. None of them is lit for `unknown`.
    """

    def __init__(self, buttons: Sequence[ButtonOptions], leds: LedOptions, first_region: str) -> None:
        self._labels = [
            (button.led, button.name, button.region or first_region)
            for button in buttons
            if button.led is not None
        ]
        self._leds = leds
        self.busy = False
        self._ready = False
        self._camera_lost = False
        self._not_kept = False
        self._current: dict[str, str] = {}
        self._scene_changed_until_s: dict[str, float] = {}
        self._advised: str | None = None
        self._recommended: str | None = None
        self._clearing: str | None = None
        self._clearing_until_s = self._captured_until_s = self._error_until_s = -math.inf
        self._advised_until_s = self._learned_until_s = self._scene_refused_until_s = -math.inf

    @property
    def pins(self) -> frozenset[int]:
        """Every pin that has an LED."""
        return frozenset(self._patterns(0.0))

    def handle(self, event: Event, now: float) -> None:
        """Apply an event of time `now`."""
        match event:
            case LabelChanged(region=region, label=label):
                self._current[region] = label
            case ExampleAdded():
                self._captured_until_s = now + CAPTURED_S
            case ExamplesChanged(evaluation=evaluation):
                self._recommended = None if evaluation is None else _label_to_press(evaluation)
            case AnotherSessionAdvised(label=label):
                self._advised, self._advised_until_s = label, now + DOUBLE_FLASH_S
            case SceneLearned(region=region):
                self._scene_changed_until_s.pop(region, None)
                self._learned_until_s, self._scene_refused_until_s = now + DOUBLE_FLASH_S, -math.inf
            case SceneChanged(region=region, automatic=automatic):
                self._scene_changed_until_s[region] = now + CHANGED_S if automatic else math.inf
            case ConfirmPending(within_s=within_s, label=label):
                self._clearing, self._clearing_until_s = label, now + within_s
            case Button(gesture="press") | Cleared():
                self._clearing_until_s = -math.inf
            case CommandReply(withdrawn=True):
                pass
            case CommandReply(command=LearnScene(origin=origin), error=str()) if origin.via == "gpio":
                self._scene_refused_until_s = now + DOUBLE_FLASH_S
            case CommandReply(command=command, error=str()) if command.origin.via == "gpio":
                self.show_error(now)
            case Ready():
                self._ready = True
            case CameraLost():
                self._camera_lost = True
                self._current.clear()
            case CameraRestored():
                self._camera_lost = False
            case ExamplesNotKept() | ExamplesKept():
                self._not_kept = isinstance(event, ExamplesNotKept)

    def show_error(self, now: float) -> None:
        """Light the error LED for `ERROR_S`."""
        self._error_until_s = now + ERROR_S

    def lit(self, now: float) -> frozenset[int]:
        """Return the pins of the LEDs that are lit at `now`."""
        return frozenset(pin for pin, pattern in self._patterns(now).items() if pattern.is_lit(now))

    def next_deadline(self, now: float) -> float | None:
        """Return the next time at which `lit` may change without an event; None if it can't."""
        blinks = [pattern.next_change(now) for pattern in self._patterns(now).values()]
        ends = [
            self._clearing_until_s,
            self._captured_until_s,
            self._error_until_s,
            self._advised_until_s,
            self._learned_until_s,
            self._scene_refused_until_s,
            *self._scene_changed_until_s.values(),
        ]
        return min(
            [*(each for each in blinks if each is not None), *(end for end in ends if now < end < math.inf)],
            default=None,
        )

    def _patterns(self, now: float) -> dict[int, Pattern]:
        status = (
            (self._leds.ready, self._ready_pattern(now)),
            (self._leds.captured, self._captured_pattern(now)),
            (self._leds.busy, self._busy_pattern(now)),
            (self._leds.error, self._error_pattern(now)),
        )
        labels = {pin: self._label_pattern(label, region, now) for pin, label, region in self._labels}
        return labels | {pin: pattern for pin, pattern in status if pin is not None}

    def _label_pattern(self, label: str, region: str, now: float) -> Pattern:
        if self._camera_lost:
            return Pattern.OFF
        if now < self._clearing_until_s and self._clearing in (None, label):
            return Pattern.FAST
        if now < self._advised_until_s and self._advised == label:
            return Pattern.DOUBLE_FLASH
        if self._current.get(region) == label:
            return Pattern.ON
        return Pattern.SLOW if label == self._recommended else Pattern.OFF

    def _ready_pattern(self, now: float) -> Pattern:
        if self._camera_lost:
            return Pattern.OFF
        if any(now < until_s for until_s in self._scene_changed_until_s.values()):
            return Pattern.DOUBLE_FLASH
        return Pattern.ON if self._ready else Pattern.SLOW

    def _captured_pattern(self, now: float) -> Pattern:
        if now < self._captured_until_s:
            return Pattern.ON
        return Pattern.DOUBLE_FLASH if now < self._learned_until_s else Pattern.OFF

    def _busy_pattern(self, now: float) -> Pattern:
        if now < self._clearing_until_s:
            return Pattern.FAST
        return Pattern.ON if self.busy else Pattern.OFF

    def _error_pattern(self, now: float) -> Pattern:
        if now < self._error_until_s:
            return Pattern.ON
        if now < self._scene_refused_until_s:
            return Pattern.DOUBLE_FLASH
        if self._camera_lost:
            return Pattern.SLOW
        return Pattern.FAST if self._not_kept else Pattern.OFF


def _label_to_press(evaluation: Evaluation) -> str | None:
    """Return the label that needs examples now; a good one that needs another session does not blink."""
    recommendation = evaluation.recommendation
    if recommendation is None:
        return None
    report = evaluation.classes.get(recommendation.label)
    is_good = recommendation.another_session and report is not None and report.status == "ok"
    return None if is_good else recommendation.label
