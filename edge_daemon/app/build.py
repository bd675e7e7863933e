"""The composition root: the only place that picks concrete classes and wires them.

What only some devices use is imported where it is wired: a start takes half as long, and memory less.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from edge_daemon import __version__
from edge_daemon.app.fleet_factory import FleetFactory
from edge_daemon.app.model_factory import (
    build_classifier,
    build_embedder,
    model_name,
    model_path,
    open_store,
    resolve_features,
    store_path,
)
from edge_daemon.app.preflight import Prepared, preflight
from edge_daemon.board.clock import clock_synced
from edge_daemon.board.power import read_power
from edge_daemon.camera.factory import open_camera
from edge_daemon.config.panel import LedOptions
from edge_daemon.config.paths import state_dir
from edge_daemon.config.schema import Config
from edge_daemon.daemon.board_monitor import BoardWatch
from edge_daemon.daemon.boot_marks import BootMarks
from edge_daemon.daemon.capture import Capture
from edge_daemon.daemon.daemon import Daemon, SinkService
from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain.errors import StoreError
from edge_daemon.domain.interfaces import Clock, Embedder, FrameSource
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.example_store.clock_correction import KEEP_REMOVED
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.regions import Box
from edge_daemon.imaging.static_scene import StaticSceneDetector
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.pipeline.region import View
from edge_daemon.pipeline.runtime_settings import RuntimeSettings
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.teaching.trainer import SHARED_POOL, Trainer
from edge_daemon.tracking.label_smoother import LabelSmoother
from edge_daemon.tracking.object_tracker import MotionGate, ObjectTracker, TriggerWindow
from edge_daemon.tracking.region_text import RegionTextJoiner

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image
    from edge_daemon.mqtt.bridge import MqttBridge
    from edge_daemon.mqtt.fleet_link import FleetLink
    from edge_daemon.panel.keyboard import Keyboard
    from edge_daemon.panel.panel import Panel

log = logging.getLogger(__name__)

LOOK_FIRST_S = 2.0
"""How long connecting to the broker waits for the first label."""


def build_views(config: Config) -> tuple[View, ...]:
    """Make the regions, each with a smoother of its own; without any, one that covers the frame."""
    smoother = partial(build_smoother, config)
    if not config.regions:
        passage = build_passage(config, config.trigger, WHOLE_FRAME)
        return (View(WHOLE_FRAME, None, SHARED_POOL, smoother(), passage, build_stillness(config)),)
    return tuple(
        View(
            region.name,
            Box(*region.box),
            region.name if region.examples == "own" else SHARED_POOL,
            smoother(),
            build_passage(config, config.trigger, region.name),
            build_stillness(config),
        )
        for region in config.regions
    )


def build_smoother(config: Config) -> LabelSmoother:
    """Make what keeps a label steady."""
    smoothing = config.smoothing
    return LabelSmoother(smoothing.window, smoothing.hysteresis, smoothing.min_hold_s)


def build_passage(config: Config, trigger: str, region: str) -> ObjectTracker | None:
    """Make what tells a region's objects apart; None where every frame is classified."""
    options = config.objects
    if trigger == "continuous":
        return None
    if trigger == "motion":
        from edge_daemon.imaging.motion import MotionDetector

        detector = MotionDetector(vertical=options.direction == "vertical", zone=options.zone)
        return MotionGate(region, detector, options.min_foreground)
    return TriggerWindow(region, options.window_s)


def build_stillness(config: Config) -> StaticSceneDetector | None:
    """Make what tells when a region's picture stands still; None where every frame counts."""
    return None if config.idle.after_s is None else StaticSceneDetector(config.idle.after_s)


def triggers_on_offer(config: Config) -> list[str]:
    """Return what the trigger can be set to while the daemon runs: `gpio` needs a button that triggers."""
    told = any(button.action == "trigger" for button in config.buttons)
    return ["continuous", "motion", "mqtt", *(["gpio"] if told else [])]


def build_settings(config: Config) -> RuntimeSettings:
    """Make what can be set while the daemon runs."""
    triggers = {mode: partial(build_passage, config, mode) for mode in triggers_on_offer(config)}
    return RuntimeSettings(config.trigger, config.classifier.unknown, **triggers)


def build_teacher(
    config: Config,
    store: ExampleStore,
    embedder: Embedder,
    views: Sequence[View],
    classes: Sequence[str] = (),
) -> Trainer:
    """Make a learner per pool of examples and teach it what the store holds in the model's space."""
    pools = {view.name: view.pool for view in views}
    if config.classifier.type == "pretrained" and not classes:
        from edge_daemon.models.class_names import labels_of

        classes = labels_of(model_path(config), embedder.size) or ()
    learners = {pool: build_classifier(config, classes) for pool in pools.values()}
    peers = config.fleet.group is not None
    return Trainer(store, learners, pools, embedder.space, config.store.max_per_label, peers)


def build_pipeline(
    config: Config,
    clock: Clock,
    fleet_factory: FleetFactory | None = None,
    embedder: Embedder | None = None,
    classes: Sequence[str] = (),
) -> Pipeline:
    """Wire model, store, learners and regions; what was taught before is learnt again."""
    embedder = embedder or build_embedder(config)
    views = build_views(config)
    store = open_store(config)
    if fleet_factory is not None:
        fleet_factory.join(store)
    if clock_synced() is not False:
        forget_removed(store, clock)
    others = {space: count for space, count in store.spaces().items() if space != embedder.space}
    if others:
        log.warning(
            "%d examples were taught with another model and are not used; "
            "`edge-daemon examples reembed` brings them over",
            sum(others.values()),
        )
    teacher = build_teacher(config, store, embedder, views, classes)
    return Pipeline(
        embedder=embedder,
        views=views,
        teacher=teacher,
        clock=clock,
        encode=partial(_encode, size=config.store.thumbnail_px),
        shrink=partial(_shrink, size=config.store.thumbnail_px),
        reading=RegionTextJoiner(region_names(config), build_smoother(config))
        if config.combine_regions == "text"
        else None,
        settings=build_settings(config),
        fleet=fleet_factory.build_sync(store, teacher, embedder, clock)
        if fleet_factory is not None
        else None,
    )


def forget_removed(store: ExampleStore, clock: Clock) -> None:
    """Forget what was removed long ago; a locked store or a full disk puts it off to the next start."""
    try:
        store.purge(clock.utc() - KEEP_REMOVED)
    except StoreError as exc:
        log.info("what was removed is not forgotten yet: %s", exc)


def _encode(image: Image, size: int) -> bytes:
    from edge_daemon.imaging.image_io import encode_jpeg  # once the first frame has its label

    return encode_jpeg(image, size)


def _shrink(image: Image, size: int) -> Image:
    from edge_daemon.imaging.image_io import shrink

    return shrink(image, size)


def build(
    config: Config | Prepared,
    *,
    once: bool = False,
    needs_frame: bool = False,
    keyboard: Sequence[str] = (),
    source: FrameSource | None = None,
    pin_factory: object = None,
    notifier: Notifier | None = None,
    marks: BootMarks | None = None,
) -> Daemon:
    """Wire the whole daemon.

    `source` stands in for the configured camera, `pin_factory` for gpiozero's own; `keyboard` are the
    labels of the keys 1 to 9, none for no keyboard. With `needs_frame` a camera that delivers no first
    frame ends the daemon; without, it is waited for.

    Raises an EdgeError for anything that can't work: model, store, broker settings, pins.
    """
    prepared = config if isinstance(config, Prepared) else preflight(config)
    config = resolve_features(prepared.config, tune=True)
    clock = SystemClock()
    mailbox = Mailbox()
    camera = source or open_camera(config.camera, clock)
    fleet_factory = FleetFactory(config.fleet, config.device.topic_id, os.environ)
    pipeline = build_pipeline(config, clock, fleet_factory, prepared.embedder, prepared.classes)
    preview = None if config.web.listen is None else LatestFrame()
    if marks is not None:
        marks.note("wired")
    link = fleet_factory.build_link(pipeline.space)
    try:
        outlets = _build_outlets(config, mailbox, clock, pipeline.space, link, preview, keyboard, pin_factory)
        return Daemon(
            pipeline=pipeline,
            capture=Capture(camera, mailbox, patient=not once, needs_frame=needs_frame),
            mailbox=mailbox,
            outlets=outlets,
            inputs=[build_board_watch(mailbox, clock, None if once else store_path(config))],
            preview=preview,
            clock=clock,
            notifier=notifier or Notifier(),
            once=once,
            marks=marks,
        )
    except BaseException:
        pipeline.close()
        raise


def _build_outlets(
    config: Config,
    mailbox: Mailbox,
    clock: Clock,
    space: str,
    fleet: FleetLink | None,
    preview: LatestFrame | None,
    keyboard: Sequence[str],
    pin_factory: object,
) -> list[SinkService]:
    outlets: list[SinkService] = []
    if config.mqtt.host is not None:
        outlets.append(build_mqtt(config, mailbox, clock, fleet))
    if config.buttons or config.panel.leds != LedOptions():
        outlets.append(build_panel(config, mailbox, clock, pin_factory))
    if preview is not None:
        outlets.append(build_web(config, mailbox, clock, preview, space, outlets))
    if keyboard:
        outlets.append(build_keyboard(config, keyboard, mailbox, clock))
    return outlets


def build_board_watch(mailbox: Mailbox, clock: Clock, store: Path | None) -> BoardWatch:
    """Make what watches supply and clock, and the mount of a store that is to be kept."""
    return BoardWatch(
        emit=mailbox.announce, submit=mailbox.submit, on_crash=mailbox.crashed, clock=clock, store=store
    )


def build_panel(config: Config, mailbox: Mailbox, clock: Clock, pin_factory: object = None) -> Panel:
    """Make the panel of buttons and LEDs on GPIO."""
    from edge_daemon.panel.gpio import GpioPins
    from edge_daemon.panel.panel import Panel

    return Panel(
        config.buttons,
        config.panel,
        submit=mailbox.submit,
        emit=mailbox.announce,
        on_crash=mailbox.crashed,
        clock=clock,
        pins=GpioPins(pin_factory),
        first_region=region_names(config)[0],
    )


def build_web(
    config: Config,
    mailbox: Mailbox,
    clock: Clock,
    preview: LatestFrame,
    space: str,
    outlets: Sequence[SinkService],
) -> SinkService:
    """Make the page. Raises WebError for an address or token that can't work."""
    from edge_daemon.mqtt.bridge import MqttBridge
    from edge_daemon.web.device_info import DeviceInfo
    from edge_daemon.web.server import WebServer

    mqtt = next((outlet for outlet in outlets if isinstance(outlet, MqttBridge)), None)
    device = DeviceInfo(
        name=config.device.name or config.device.topic_id,
        version=__version__,
        model=model_name(config),
        classifier=config.classifier.type,
        regions={view.name: view.box for view in build_views(config)},
        space=space,
        store_path=store_path(config),
        settings=msgspec.to_builtins(config),
        broker=lambda: None if mqtt is None else mqtt.connected,
        regions_file=Path(config.web.regions_file or state_dir() / "regions.yaml"),
    )
    return WebServer(
        config.web, device, submit=mailbox.submit, preview=preview, clock=clock, on_crash=mailbox.crashed
    )


def build_keyboard(config: Config, labels: Sequence[str], mailbox: Mailbox, clock: Clock) -> Keyboard:
    """Make the terminal's keyboard a panel."""
    from edge_daemon.panel.keyboard import Keyboard

    return Keyboard(
        labels,
        config.panel,
        submit=mailbox.submit,
        quit=mailbox.quit,
        on_crash=mailbox.crashed,
        clock=clock,
    )


def region_names(config: Config) -> list[str]:
    """Return the names of the regions; of the whole frame when none is configured."""
    return [region.name for region in config.regions] or [WHOLE_FRAME]


def build_mqtt(config: Config, mailbox: Mailbox, clock: Clock, fleet: FleetLink | None = None) -> MqttBridge:
    """Make the MQTT sink. Raises BrokerError for settings that can't work."""
    from edge_daemon.mqtt.bridge import MqttBridge
    from edge_daemon.mqtt.payloads import Info
    from edge_daemon.mqtt.persistent_queue import backlog_path
    from edge_daemon.mqtt.serializer import known_flags
    from edge_daemon.mqtt.topics import device_topics

    device = config.device
    info = Info(
        device=device.topic_id,
        name=device.name or device.topic_id,
        version=__version__,
        model=model_name(config),
        classifier=config.classifier.type,
        regions=[*region_names(config), *([WHOLE_FRAME] if config.combine_regions == "text" else [])],
        config_digest=digest(config),
        triggers=triggers_on_offer(config),
        button_labels=[button.name for button in config.buttons if button.label is not None],
        clock_synced=clock_synced(),
        power=None if (power := read_power()) is None else known_flags(power.now),
    )
    base_topic = device_topics(config.mqtt.base_topic, info.device, info.regions).base
    return MqttBridge(
        config.mqtt,
        info,
        mailbox.submit,
        clock,
        mailbox.crashed,
        backlog_path(store_path(config).parent, base_topic),
        partial(export_examples, store_path(config)),
        fleet,
        LOOK_FIRST_S,
    )


def export_examples(store_file: Path, file: BinaryIO) -> None:
    """Write the examples of a store to an archive, from any thread. Raises ArchiveError, StoreError."""
    from edge_daemon.example_store.archive import write_archive_to

    with ExampleStore(store_file) as store:
        write_archive_to(store, file)


def digest(config: Config) -> str:
    """Return a short word that changes when the configuration does."""
    return hashlib.sha256(msgspec.json.encode(config, order="sorted")).hexdigest()[:12]
