"""The configured regions, with smoothers, object trackers and static-scene detectors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from edge_daemon.config.schema import Config
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.imaging.regions import Box
from edge_daemon.imaging.static_scene import StaticSceneDetector
from edge_daemon.pipeline.region import Region
from edge_daemon.pipeline.runtime_settings import RuntimeSettings
from edge_daemon.teaching.classifier_pools import SHARED_POOL
from edge_daemon.tracking.label_smoother import LabelSmoother
from edge_daemon.tracking.region_text import RegionTextJoiner

if TYPE_CHECKING:
    from edge_daemon.tracking.object_tracker import ObjectTracker


def region_names(config: Config) -> list[str]:
    """Return the region names; the name of the whole frame when none is configured."""
    return [region.name for region in config.regions] or [WHOLE_FRAME]


def label_names(config: Config) -> list[str]:
    """Return the regions that have a label; the whole frame too where their labels are combined."""
    return [*region_names(config), *([WHOLE_FRAME] if config.combine_regions == "text" else [])]


def build_regions(config: Config) -> tuple[Region, ...]:
    """Build the configured regions; without any, one that covers the whole frame."""
    make = partial(_build_region, config)
    if not config.regions:
        return (make(WHOLE_FRAME, None, SHARED_POOL),)
    return tuple(
        make(region.name, Box(*region.box), region.name if region.examples == "own" else SHARED_POOL)
        for region in config.regions
    )


def _build_region(config: Config, name: str, box: Box | None, pool: str) -> Region:
    return Region(
        name,
        box,
        pool,
        build_smoother(config),
        build_tracker(config, config.trigger, name),
        None if config.idle.after_s is None else StaticSceneDetector(config.idle.after_s),
    )


def build_smoother(config: Config) -> LabelSmoother:
    """Build a label smoother."""
    smoothing = config.smoothing
    return LabelSmoother(smoothing.window, smoothing.hysteresis, smoothing.min_hold_s)


def build_text_joiner(config: Config) -> RegionTextJoiner | None:
    """Build the joiner of the regions' labels; None where regions are not combined."""
    if config.combine_regions != "text":
        return None
    return RegionTextJoiner(region_names(config), build_smoother(config))


def build_tracker(config: Config, trigger: str, region: str) -> ObjectTracker | None:
    """Build a region's object tracker; None where every frame is classified."""
    options = config.objects
    if trigger == "continuous":
        return None
    from edge_daemon.tracking.object_tracker import MotionGate, TriggerWindow

    if trigger == "motion":
        from edge_daemon.imaging.motion import MotionDetector

        detector = MotionDetector(vertical=options.direction == "vertical", zone=options.zone)
        return MotionGate(region, detector, options.min_foreground)
    return TriggerWindow(region, options.window_s)


def available_triggers(config: Config) -> list[str]:
    """Return the modes that can be set while the daemon runs: `gpio` needs a button that triggers."""
    has_button = any(button.action == "trigger" for button in config.buttons)
    return ["continuous", "motion", "mqtt", *(["gpio"] if has_button else [])]


def build_settings(config: Config) -> RuntimeSettings:
    """Build the settings that can change while the daemon runs."""
    triggers = {mode: partial(build_tracker, config, mode) for mode in available_triggers(config)}
    return RuntimeSettings(config.trigger, config.classifier.unknown, **triggers)
