"""Label smoothing: a majority vote over a window, with hysteresis and a minimum hold time."""

from __future__ import annotations

from collections import deque

from edge_daemon.domain.types import LabelChange, Prediction

_ROUNDING = 1e-9


class LabelSmoother:
    """Turns one prediction per frame into a stable label.

    The first prediction becomes the label at once. Later a challenger must lead the present label by more
    than `hysteresis` (a share of the frames in the window, 0 to 1), and the present label must have been
    held for `min_hold_s`. With a window of 5 and a hysteresis of 0.2, a challenger needs 4 of 5 frames, so
    that two alternating labels change nothing. `unknown` is a label like any other. `now` is monotonic
    seconds.
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
        """Add the prediction of one frame; return the change if the stable label changed."""
        self._window.append(prediction)
        votes: dict[str, int] = {}
        for each in self._window:
            votes[each.label] = votes.get(each.label, 0) + 1
        challenger = max(votes, key=votes.__getitem__)
        if challenger == self._label or not self._may_change(votes, challenger, now):
            return None
        change = LabelChange(challenger, self._label, self._confidence(challenger))
        self._label, self._since = challenger, now
        return change

    def configure(self, window: int, hysteresis: float, min_hold_s: float) -> None:
        """Change the settings; the label and the newest frames of the window stay."""
        self._window = deque(self._window, maxlen=window)
        self._hysteresis = hysteresis
        self._min_hold_s = min_hold_s

    def reset(self) -> None:
        """Drop the window and the label, as after the loss of the camera."""
        self._window.clear()
        self._label = None

    def _may_change(self, votes: dict[str, int], challenger: str, now: float) -> bool:
        if self._label is None:
            return True
        if now - self._since < self._min_hold_s:
            return False
        lead = votes[challenger] - votes.get(self._label, 0)
        return lead > self._hysteresis * len(self._window) + _ROUNDING

    def _confidence(self, label: str) -> float:
        """Average over the window's frames that voted for the label."""
        values = [each.confidence for each in self._window if each.label == label]
        return sum(values) / len(values)
