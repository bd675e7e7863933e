"""Presses buttons by the script: a frame source that moves the demo's finger as its frames go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_daemon.panel.mock_press import MockPresser
from edge_daemon.ports import FrameSource
from edge_daemon.types import Frame

PRESS_FRAMES = 3
"""How long a button stays down: longer than the debouncing, shorter than a hold."""


class Director:
    """Fulfils ports.FrameSource around another. Before frame `seq` is read, its button goes down.

    `presses` are (seq, label); `pins` the button of each label.
    """

    def __init__(
        self,
        source: FrameSource,
        presses: Sequence[tuple[int, str]],
        pins: Mapping[str, int],
        presser: MockPresser,
    ) -> None:
        self.lossless = source.lossless
        self._source = source
        self._down = {seq: pins[label] for seq, label in presses}
        self._up = {seq + PRESS_FRAMES: pins[label] for seq, label in presses}
        self._presser = presser
        self._next_seq = 0

    def open(self) -> None:
        """Open the source."""
        self._source.open()

    def read(self) -> Frame | None:
        """Move the finger, then take the next frame."""
        if (pin := self._up.get(self._next_seq)) is not None:
            self._presser.release(pin)
        if (pin := self._down.get(self._next_seq)) is not None:
            self._presser.press(pin)
        frame = self._source.read()
        if frame is not None:
            self._next_seq = frame.seq + 1
        return frame

    def close(self) -> None:
        """Close the source."""
        self._source.close()
