"""Text joined from the labels of several regions, such as the digits of a counter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edge_daemon.domain.types import UNKNOWN, LabelChange, Prediction
from edge_daemon.tracking.label_smoother import LabelSmoother

UNKNOWN_CHARACTER = "?"
"""Character of a region whose label is unknown."""


class RegionTextJoiner:
    """Joins the labels of the `regions` in one frame, in this order, and smooths the text.

    The vote is over whole texts. Joined smoothed labels would give texts that no frame showed, because the
    regions change at different frames.
    """

    def __init__(self, regions: Sequence[str], smoother: LabelSmoother) -> None:
        self._regions = tuple(regions)
        self._smoother = smoother
        self._latest: dict[str, Prediction] = {}
        self._updated = False

    def add(self, region: str, prediction: Prediction) -> None:
        """Set the prediction of a region for this frame. Other regions keep their previous prediction."""
        self._latest[region] = prediction
        self._updated = True

    def finish_frame(self, now: float) -> LabelChange | None:
        """Return the change of the text at the end of a frame, if every region has a prediction."""
        if not self._updated or len(self._latest) < len(self._regions):
            return None
        self._updated = False
        return self._smoother.update(join_predictions(self._latest[name] for name in self._regions), now)

    @property
    def smoother(self) -> LabelSmoother:
        """The smoother of the text."""
        return self._smoother

    def reset(self) -> None:
        """Drop all predictions and the text, as after the loss of the camera."""
        self._latest.clear()
        self._smoother.reset()


def join_predictions(parts: Iterable[Prediction]) -> Prediction:
    """Return the text of regions in order, with the smallest confidence and similarity of its parts."""
    row = list(parts)
    text = "".join(UNKNOWN_CHARACTER if part.label == UNKNOWN else part.label for part in row)
    confidences: Mapping[str, float] = {text: min(part.confidence for part in row)}
    return Prediction(text, confidences, min(part.similarity for part in row))
