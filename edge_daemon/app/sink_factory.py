"""Sinks and inputs: MQTT, panel, serial port, page, keyboard, board monitor; each built where configured.

A sink's modules are imported only if it is configured: a start takes half as long, and less memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from edge_daemon import __version__
from edge_daemon.app.model_factory import model_name, store_path, uses_scenes
from edge_daemon.app.region_factory import available_triggers, build_regions, label_names, region_names
from edge_daemon.board.clock import clock_synced
from edge_daemon.board.power import read_power
from edge_daemon.config.camera import BrowserOptions
from edge_daemon.config.panel import LedOptions
from edge_daemon.config.schema import Config, config_digest
from edge_daemon.daemon.board_monitor import BoardMonitor
from edge_daemon.daemon.daemon import SinkService
from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.domain.interfaces import Clock
from edge_daemon.example_store.second_connection import open_beside
from edge_daemon.system.latest_frame import LatestFrame

if TYPE_CHECKING:
    from edge_daemon.app.settings_editor import SettingsEditor
    from edge_daemon.mqtt.bridge import MqttBridge
    from edge_daemon.mqtt.fleet_link import FleetLink
    from edge_daemon.panel.keyboard import Keyboard
    from edge_daemon.panel.panel import Panel
    from edge_daemon.serial.link import SerialLink
    from edge_daemon.system.picture_slot import PictureSlot

CONNECT_DELAY_S = 2.0
"""Longest time that connecting to the broker waits for the first label."""


def build_sinks(
    config: Config,
    mailbox: Mailbox,
    clock: Clock,
    *,
    digest: str,
    space: str,
    fleet: FleetLink | None,
    latest_frame: LatestFrame | None,
    keyboard: Sequence[str],
    pin_factory: object,
    settings: SettingsEditor | None,
    slot: PictureSlot | None,
) -> list[SinkService]:
    """Build the configured sinks. Raises EdgeError for settings that can't work.

    `digest` is that of the configuration before its model was resolved, and `space` the embedding space in
    use. `latest_frame` is None without the page, and `slot`, into which the page puts the pictures of a
    browser's camera, without such a camera. `keyboard` and `pin_factory`: see `build`.
    """
    sinks: list[SinkService] = []
    if config.mqtt.host is not None:
        sinks.append(build_mqtt(config, mailbox, clock, fleet, digest))
    if config.buttons or config.panel.leds != LedOptions():
        sinks.append(build_panel(config, mailbox, clock, pin_factory))
    if config.serial.port is not None:
        sinks.append(build_serial(config, mailbox, clock))
    if latest_frame is not None:
        sinks.append(build_web(config, mailbox, clock, latest_frame, space, sinks, settings, slot))
    if keyboard:
        sinks.append(build_keyboard(config, keyboard, mailbox, clock))
    return sinks


def build_mqtt(
    config: Config, mailbox: Mailbox, clock: Clock, fleet: FleetLink | None = None, digest: str = ""
) -> MqttBridge:
    """Build the MQTT sink. Raises BrokerError for settings that can't work."""
    from edge_daemon.mqtt.bridge import build_bridge
    from edge_daemon.mqtt.payloads import Info
    from edge_daemon.mqtt.persistent_queue import queue_path
    from edge_daemon.mqtt.serializer import known_flags
    from edge_daemon.mqtt.topics import device_topics

    device = config.device
    info = Info(
        device=device.topic_id,
        name=device.name or device.topic_id,
        version=__version__,
        model=model_name(config),
        classifier=config.classifier.type,
        regions=label_names(config),
        config_digest=digest or config_digest(config),
        triggers=available_triggers(config),
        button_labels=[button.name for button in config.buttons if button.label is not None],
        clock_synced=clock_synced(),
        power=None if (power := read_power()) is None else known_flags(power.now),
        scenes={} if uses_scenes(config) else msgspec.UNSET,
    )
    base_topic = device_topics(config.mqtt.base_topic, info.device, info.regions).base
    return build_bridge(
        config.mqtt,
        info,
        mailbox.submit,
        clock,
        mailbox.crashed,
        queue_path(store_path(config).parent, base_topic),
        partial(export_examples, store_path(config)),
        fleet,
        CONNECT_DELAY_S,
    )


def build_panel(config: Config, mailbox: Mailbox, clock: Clock, pin_factory: object = None) -> Panel:
    """Build the panel: buttons and LEDs on GPIO."""
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


def build_serial(config: Config, mailbox: Mailbox, clock: Clock) -> SerialLink:
    """Build the serial link."""
    from edge_daemon.serial.link import SerialLink

    return SerialLink(
        config.serial, label_names(config), submit=mailbox.submit, on_crash=mailbox.crashed, clock=clock
    )


def build_web(
    config: Config,
    mailbox: Mailbox,
    clock: Clock,
    latest_frame: LatestFrame,
    space: str,
    sinks: Sequence[SinkService],
    settings: SettingsEditor | None = None,
    slot: PictureSlot | None = None,
) -> SinkService:
    """Build the web page. Raises WebError for an address or token that can't work."""
    from edge_daemon.mqtt.bridge import MqttBridge
    from edge_daemon.web.camera_sender import SentCamera
    from edge_daemon.web.device_info import DeviceInfo
    from edge_daemon.web.server import WebServer

    mqtt = next((sink for sink in sinks if isinstance(sink, MqttBridge)), None)
    device = DeviceInfo(
        name=config.device.name or config.device.topic_id,
        version=__version__,
        model=model_name(config),
        classifier=config.classifier.type,
        regions={region.name: region.box for region in build_regions(config)},
        space=space,
        store_path=store_path(config),
        config=lambda: msgspec.to_builtins(config if settings is None else settings.config),
        broker=lambda: None if mqtt is None else mqtt.connected,
        broker_fault=lambda: "" if mqtt is None else mqtt.fault,
        settings=settings,
        thumbnail_px=config.store.thumbnail_px,
    )
    camera = config.camera
    return WebServer(
        config.web,
        device,
        submit=mailbox.submit,
        latest_frame=latest_frame,
        clock=clock,
        on_crash=mailbox.crashed,
        camera=None
        if slot is None or not isinstance(camera, BrowserOptions)
        else SentCamera(slot, camera.size, camera.fps),
    )


def build_keyboard(config: Config, labels: Sequence[str], mailbox: Mailbox, clock: Clock) -> Keyboard:
    """Build the panel on the terminal's keyboard; `labels` belong to the keys 1 to 9."""
    from edge_daemon.panel.keyboard import Keyboard

    return Keyboard(
        labels,
        config.panel,
        submit=mailbox.submit,
        quit=mailbox.quit,
        on_crash=mailbox.crashed,
        clock=clock,
    )


def build_board_monitor(mailbox: Mailbox, clock: Clock, store: Path | None) -> BoardMonitor:
    """Build the monitor of supply, clock and, unless `store` is None, the mount of the store."""
    return BoardMonitor(
        emit=mailbox.announce, submit=mailbox.submit, on_crash=mailbox.crashed, clock=clock, store=store
    )


def export_examples(store_file: Path, file: BinaryIO) -> None:
    """Write the examples of a store to an archive, from any thread. Raises ArchiveError, StoreError."""
    from edge_daemon.example_store.archive import write_archive_to

    with open_beside(store_file) as store:
        write_archive_to(store, file)
