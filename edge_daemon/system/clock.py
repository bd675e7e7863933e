"""The system's clocks, and a time as text."""

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


def utc_ms(moment: datetime) -> str:
    """Return a timezone-aware time as ISO 8601 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
