"""The seams: small Protocols that adapters fulfil without inheriting from them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from edge_daemon.domain.events import Event
from edge_daemon.domain.types import Frame

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


class FrameSource(Protocol):
    """Frames from a camera, a folder or a drawing. Used from the capture thread alone.

    `lossless` says whether every frame must be consumed (a replayed folder) or only the latest
    counts (a camera). `open` may be called again after `close`.
    """

    lossless: bool

    def open(self) -> None:
        """Claim the device. Raises CameraError when it is missing or busy."""

    def read(self) -> Frame | None:
        """Wait for the next frame; None at the end of a finite source. Raises CameraError."""

    def close(self) -> None:
        """Release the device; harmless when not open."""


class Embedder(Protocol):
    """A model that turns a picture into a unit vector. Owned by the pipeline thread.

    `space` names model, tap, preprocessing and delegate; embeddings of two spaces never mix.
    """

    space: str
    size: int

    def embed(self, image: Image) -> Vector:
        """Embed an RGB uint8 HWC image of any size; float32 of `size` numbers, unit length."""


class Sink(Protocol):
    """Somewhere events go. Never blocks: `handle` runs in the thread that made the event."""

    def handle(self, event: Event) -> None:
        """Take one event."""


class Clock(Protocol):
    """Both clocks: monotonic for intervals, UTC for messages and storage."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def utc(self) -> datetime:
        """Now, timezone-aware."""
