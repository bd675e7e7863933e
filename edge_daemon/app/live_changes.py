"""Changes of the configuration that a running daemon takes without being built again."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from edge_daemon.config.schema import Config
from edge_daemon.domain.commands import Command, MoveRegion, Origin, SetSmoothing, SetThreshold, SetTrigger
from edge_daemon.domain.events import SettingsChanged

_ORIGIN = Origin("web", "settings")


def in_use(config: Config, settings: SettingsChanged) -> Config:
    """Return the configuration with the trigger and the threshold in use, which requests can change."""
    classifier = replace(config.classifier, unknown=settings.unknown)
    return replace(config, trigger=settings.trigger, classifier=classifier)


def live_commands(old: Config, new: Config) -> list[Command] | None:
    """Return the commands that turn a daemon of `old` into one of `new`; None if it must be built again.

    Trigger, threshold, smoothing and the boxes of the regions can change while it runs.
    """
    if [region.name for region in old.regions] != [region.name for region in new.regions]:
        return None
    boxes = zip(old.regions, new.regions, strict=True)
    moved = replace(
        old,
        trigger=new.trigger,
        smoothing=new.smoothing,
        classifier=replace(old.classifier, unknown=new.classifier.unknown),
        regions=tuple(replace(before, box=after.box) for before, after in boxes),
    )
    return list(_commands(old, new)) if moved == new else None


def _commands(old: Config, new: Config) -> Iterator[Command]:
    if old.smoothing != new.smoothing:
        smoothing = new.smoothing
        yield SetSmoothing(_ORIGIN, smoothing.window, smoothing.hysteresis, smoothing.min_hold_s)
    if old.classifier != new.classifier:
        yield SetThreshold(_ORIGIN, new.classifier.unknown)
    if old.trigger != new.trigger:
        yield SetTrigger(_ORIGIN, new.trigger)
    for before, after in zip(old.regions, new.regions, strict=True):
        if before.box != after.box:
            yield MoveRegion(after.name, after.box, _ORIGIN)
