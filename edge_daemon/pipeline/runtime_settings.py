"""Settings that change while the device runs: trigger and threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from edge_daemon.domain import events
from edge_daemon.domain.commands import SetThreshold, SetTrigger
from edge_daemon.domain.errors import RequestError
from edge_daemon.pipeline.region import RegionPipeline, TrackerFactory


class RuntimeSettings:
    """Holds the settings in use; `triggers` maps each mode that can be set to its tracker factory.

    Owned by the pipeline thread. Nothing is stored: a restart restores the configured values.
    """

    def __init__(
        self, trigger: str = "continuous", unknown: float | str = "auto", **triggers: TrackerFactory
    ) -> None:
        self._current = events.SettingsChanged(trigger, unknown)
        self._triggers: Mapping[str, TrackerFactory] = triggers

    @property
    def current(self) -> events.SettingsChanged:
        """The settings in use."""
        return self._current

    def set_threshold(self, command: SetThreshold) -> events.SettingsChanged:
        """Record a threshold that the trainer has accepted."""
        self._current = replace(self._current, unknown=command.unknown)
        return self._current

    def set_trigger(
        self, command: SetTrigger, regions: Iterable[RegionPipeline], now: float
    ) -> Iterator[events.Event]:
        """Give every region a new object tracker at `now` (monotonic); pending triggers get their replies.

        Raises RequestError for an unavailable mode; nothing is changed then.
        """
        make = self._triggers.get(command.mode)
        if make is None:
            offered = ", ".join(self._triggers)
            raise RequestError(f"the trigger can't be '{command.mode}' here; it can be one of: {offered}")
        for region in regions:
            yield from region.set_tracker(make, now)
        self._current = replace(self._current, trigger=command.mode)
        yield events.CommandReply(command, data={"mode": command.mode})
        yield self._current
