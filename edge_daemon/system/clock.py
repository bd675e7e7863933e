"""The system's clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The monotonic and the wall clock; implements interfaces.Clock."""

    def monotonic(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def utc(self) -> datetime:
        """Return the wall-clock time, timezone-aware."""
        return datetime.now(UTC)
