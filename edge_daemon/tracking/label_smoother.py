"""Steady the label: a window vote with hysteresis and a minimum hold."""

from __future__ import annotations

from collections import deque

from edge_daemon.domain.types import LabelChange, Prediction

_ROUNDING = 1e-9


class LabelSmoother:
    """Turns a prediction a frame into a label that changes once and not back and forth.

    The first prediction is taken at once: a device that starts says what it sees. From then on a
    newcomer must lead the present label by more than `hysteresis` (a share of the frames in the
    window, 0 to 1), and the present label must have stood for `min_hold_s`. With a window of 5 and
    a hysteresis of 0.2 that is 4 frames of 5 against an old label, so two labels that take turns
    change nothing. `unknown` is a label like any other. No clock inside: `now` is monotonic seconds.
    """

    def __init__(self, window: int = 5, hysteresis: float = 0.2, min_hold_s: float = 0.3) -> None:
        self._window: deque[Prediction] = deque(maxlen=window)
        self._hysteresis = hysteresis
        self._min_hold_s = min_hold_s
        self._since = 0.0
        self._label: str | None = None

    @property
    def label(self) -> str | None:
        """The stable label; None before the first prediction and after a reset."""
        return self._label

    def update(self, prediction: Prediction, now: float) -> LabelChange | None:
        """Take the prediction of one frame; return the change if the stable label became another."""
        self._window.append(prediction)
        votes: dict[str, int] = {}
        for each in self._window:
            votes[each.label] = votes.get(each.label, 0) + 1
        newcomer = max(votes, key=votes.__getitem__)
        if newcomer == self._label or not self._may_change(votes, newcomer, now):
            return None
        change = LabelChange(newcomer, self._label, self._confidence(newcomer))
        self._label, self._since = newcomer, now
        return change

    def reset(self) -> None:
        """Forget everything, as when the camera was lost."""
        self._window.clear()
        self._label = None

    def _may_change(self, votes: dict[str, int], newcomer: str, now: float) -> bool:
        if self._label is None:
            return True
        if now - self._since < self._min_hold_s:
            return False
        lead = votes[newcomer] - votes.get(self._label, 0)
        return lead > self._hysteresis * len(self._window) + _ROUNDING

    def _confidence(self, label: str) -> float:
        """Average over the window's frames that voted for the label."""
        values = [each.confidence for each in self._window if each.label == label]
        return sum(values) / len(values)
