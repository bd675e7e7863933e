"""Interfaces of the adapters: small Protocols, which adapters satisfy without inheritance."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from edge_daemon.domain.events import Event
from edge_daemon.domain.types import Frame

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


class FrameSource(Protocol):
    """Source of frames: a camera, a folder, a video or a simulator. Used by the capture thread only.

    If `lossless` is true every frame is processed (a replayed folder), else only the latest (a camera).
    `open` may be called again after `close`.
    """

    lossless: bool

    def open(self) -> None:
        """Open the device. Raises CameraError if it is missing or busy."""

    def read(self) -> Frame | None:
        """Wait for the next frame; None at the end of a finite source. Raises CameraError."""

    def close(self) -> None:
        """Release the device; does nothing if it is not open."""


class Embedder(Protocol):
    """Embeds an image as a unit vector of `size` numbers. Owned by the pipeline thread.

    `space` identifies model, feature layer, preprocessing and delegate; embeddings of different spaces are
    never compared.
    """

    space: str
    size: int

    def embed(self, image: Image) -> Vector:
        """Embed an RGB uint8 HWC image of any size; the result is float32, shape (`size`,), unit length."""


class Sink(Protocol):
    """Receiver of events. Never blocks: `handle` runs in the thread that made the event."""

    def handle(self, event: Event) -> None:
        """Process one event."""


class Clock(Protocol):
    """Two clocks: monotonic for intervals, UTC for messages and storage."""

    def monotonic(self) -> float:
        """Return the monotonic time in seconds."""

    def utc(self) -> datetime:
        """Return the current UTC time, timezone-aware."""
