"""Label smoothing: a majority vote over a window, with hysteresis and a minimum hold time."""

from __future__ import annotations

from collections import deque

from edge_daemon.domain.types import Interpolation, LabelChange, Prediction

_ROUNDING = 1e-9

NUMBER_HYSTERESIS = 1.5
"""Least change of an interpolated number, in units of the range of the window's numbers."""

_NUMBER = "\0number"
"""Key of the votes for numbers; no label contains a zero character."""


class LabelSmoother:
    """Turns one prediction per frame into a stable label.

    The first prediction becomes the label at once. Later a challenger must lead the present label by more
    than `hysteresis` (a share of the frames in the window, 0 to 1) or have all frames, and the present label
    must have been held for `min_hold_s`. With a window of 5 and a hysteresis of 0.2, a challenger needs 4 of
    5 frames, so that two alternating labels change nothing. `unknown` is a label like any other. `now` is
    monotonic seconds. Interpolated numbers vote together; the label is their median, which changes by more
    than they scatter in the window.
    """

    def __init__(self, window: int = 5, hysteresis: float = 0.2, min_hold_s: float = 0.3) -> None:
        self._window: deque[Prediction] = deque(maxlen=window)
        self._hysteresis = hysteresis
        self._min_hold_s = min_hold_s
        self._since = 0.0
        self._label: str | None = None
        self._number: float | None = None

    @property
    def label(self) -> str | None:
        """The stable label; None before the first prediction and after a reset."""
        return self._label

    def update(self, prediction: Prediction, now: float) -> LabelChange | None:
        """Add the prediction of one frame; return the change if the stable label changed."""
        self._window.append(prediction)
        votes: dict[str, int] = {}
        for each in self._window:
            votes[_key(each)] = votes.get(_key(each), 0) + 1
        challenger = max(votes, key=votes.__getitem__)
        number = self._median() if challenger == _NUMBER else None
        label = challenger if number is None else Interpolation(number, 1.0).label
        if label == self._label or not self._may_change(votes, challenger, number, now):
            return None
        change = LabelChange(label, self._label, self._confidence(challenger))
        self._label, self._number, self._since = label, number, now
        return change

    def configure(self, window: int, hysteresis: float, min_hold_s: float) -> None:
        """Change the settings; the label and the newest frames of the window stay."""
        self._window = deque(self._window, maxlen=window)
        self._hysteresis = hysteresis
        self._min_hold_s = min_hold_s

    def reset(self) -> None:
        """Drop the window and the label, as after the loss of the camera."""
        self._window.clear()
        self._label = self._number = None

    def _may_change(self, votes: dict[str, int], challenger: str, number: float | None, now: float) -> bool:
        if self._label is None:
            return True
        if now - self._since < self._min_hold_s:
            return False
        if number is not None and self._number is not None:
            numbers = self._numbers()
            return abs(number - self._number) > NUMBER_HYSTERESIS * (numbers[-1] - numbers[0])
        lead = votes[challenger] - votes.get(self._label if self._number is None else _NUMBER, 0)
        frames = len(self._window)
        return lead > min(self._hysteresis * frames, frames - 1) + _ROUNDING

    def _numbers(self) -> list[float]:
        """Return the interpolated numbers in the window, ascending."""
        return sorted(each.number for each in self._window if each.number is not None)

    def _median(self) -> float:
        numbers = self._numbers()
        return numbers[len(numbers) // 2]

    def _confidence(self, key: str) -> float:
        """Average over the window's frames that voted for a label, or for any number."""
        values = [each.confidence for each in self._window if _key(each) == key]
        return sum(values) / len(values)


def _key(prediction: Prediction) -> str:
    """Return what a frame votes for: its label, or a number of any value."""
    return prediction.label if prediction.number is None else _NUMBER
