"""Several regions read as one text: a counter's digits, a row of lamps."""

from __future__ import annotations

from collections.abc import Sequence

from edge_daemon.types import UNKNOWN, LabelChange

ILLEGIBLE = "?"
"""Stands in the text for a region that shows nothing taught."""


class Reading:
    """Joins the steady labels of `regions`, in that order, into one text; pure."""

    def __init__(self, regions: Sequence[str]) -> None:
        self._regions = tuple(regions)
        self._parts: dict[str, LabelChange] = {}
        self._text: str | None = None

    def update(self, region: str, change: LabelChange) -> LabelChange | None:
        """Take a region's new label; return the text's change, once every region has a label.

        Its confidence is that of the least sure region.
        """
        self._parts[region] = change
        if len(self._parts) < len(self._regions):
            return None
        parts = [self._parts[name] for name in self._regions]
        text = "".join(ILLEGIBLE if part.label == UNKNOWN else part.label for part in parts)
        if text == self._text:
            return None
        previous, self._text = self._text, text
        return LabelChange(text, previous, min(part.confidence for part in parts))

    def reset(self) -> None:
        """Forget everything, as when the camera was lost."""
        self._parts.clear()
        self._text = None
