"""What can be set while the device runs: the trigger and the unknown-rejection."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping

from msgspec.structs import replace

from edge_daemon.domain import events
from edge_daemon.domain.commands import SetThreshold, SetTrigger
from edge_daemon.domain.errors import RequestError
from edge_daemon.pipeline.region import MakePassage, View


class RuntimeSettings:
    """Knows the settings in use. `triggers` are the ways to tell objects apart that can be set.

    Belongs to the pipeline's thread. Nothing is written down: after a restart the configuration counts.
    """

    def __init__(
        self, trigger: str = "continuous", unknown: float | str = "auto", **triggers: MakePassage
    ) -> None:
        self._now = events.SettingsChanged(trigger, unknown)
        self._triggers: Mapping[str, MakePassage] = triggers

    def told(self) -> events.SettingsChanged:
        """Return what is set."""
        return self._now

    def set_threshold(self, command: SetThreshold) -> events.SettingsChanged:
        """Note a threshold that the teacher has taken."""
        self._now = replace(self._now, unknown=command.unknown)
        return self._now

    def set_trigger(
        self, command: SetTrigger, views: MutableMapping[str, View], now: float
    ) -> Iterator[events.Event]:
        """Give every region another passage at `now` (monotonic); what was under way is answered.

        Raises RequestError for a mode that isn't offered; nothing is changed then.
        """
        make = self._triggers.get(command.mode)
        if make is None:
            offered = ", ".join(self._triggers)
            raise RequestError(f"the trigger can't be '{command.mode}' here; it can be one of: {offered}")
        for view in tuple(views.values()):
            yield from view.start_afresh(now)
            if view.passage is not None:
                yield from view.passage.finished(math.inf)
            views[view.name] = replace(view, passage=make(view.name))
        self._now = replace(self._now, trigger=command.mode)
        yield events.CommandReply(command, data={"mode": command.mode})
        yield self._now
