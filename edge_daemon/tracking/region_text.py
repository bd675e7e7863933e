"""Several regions read as one text: a counter's digits, a row of lamps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edge_daemon.domain.types import UNKNOWN, LabelChange, Prediction
from edge_daemon.tracking.label_smoother import LabelSmoother

ILLEGIBLE = "?"
"""Stands in the text for a region that shows nothing taught."""


class RegionTextJoiner:
    """Joins what the `regions` show in one frame, in that order, and smooths the text; pure.

    The vote is over whole texts. Smoothing each region and joining the labels afterwards would give texts
    that no frame showed, because the regions change at different frames.
    """

    def __init__(self, regions: Sequence[str], smoother: LabelSmoother) -> None:
        self._regions = tuple(regions)
        self._smoother = smoother
        self._latest: dict[str, Prediction] = {}
        self._fresh = False

    def add(self, region: str, prediction: Prediction) -> None:
        """Take what a region shows in the present frame; a region without news keeps what it showed."""
        self._latest[region] = prediction
        self._fresh = True

    def finish_frame(self, now: float) -> LabelChange | None:
        """Return the text's change at the end of a frame, once every region has been read."""
        if not self._fresh or len(self._latest) < len(self._regions):
            return None
        self._fresh = False
        return self._smoother.update(joined(self._latest[name] for name in self._regions), now)

    def reset(self) -> None:
        """Forget everything, as when the camera was lost."""
        self._latest.clear()
        self._smoother.reset()


def joined(parts: Iterable[Prediction]) -> Prediction:
    """Return the text of regions in their order; it is as sure, and as similar, as its least sure part."""
    row = list(parts)
    text = "".join(ILLEGIBLE if part.label == UNKNOWN else part.label for part in row)
    confidences: Mapping[str, float] = {text: min(part.confidence for part in row)}
    return Prediction(text, confidences, min(part.similarity for part in row))
