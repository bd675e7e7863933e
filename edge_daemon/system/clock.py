"""The real clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Both clocks of the machine; fulfils interfaces.Clock."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def utc(self) -> datetime:
        """Now, timezone-aware."""
        return datetime.now(UTC)
