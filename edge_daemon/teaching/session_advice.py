"""Advice to show a label in another session: once a day, after ten presses in one."""

from __future__ import annotations

from edge_daemon.domain.types import ClassReport

ADVICE_PRESSES = 10
"""Number of presses of a label in one session after which another session is advised."""

DAY_S = 24 * 3600.0


class SessionAdvice:
    """Decides when another session is advised; pure. Labels of the last day are remembered."""

    def __init__(self) -> None:
        self._advised_s: dict[str, float] = {}

    def is_due(self, label: str, report: ClassReport, now: float) -> bool:
        """Return whether another session is advised for a label that was just pressed, at `now` (monotonic).

        At most once a day, and only for a label that one session taught.
        """
        if report.sessions != 1 or report.session_presses < ADVICE_PRESSES:
            return False
        self._advised_s = {each: at_s for each, at_s in self._advised_s.items() if now - at_s < DAY_S}
        if label in self._advised_s:
            return False
        self._advised_s[label] = now
        return True
