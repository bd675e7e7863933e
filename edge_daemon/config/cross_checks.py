"""Checks across keys of the configuration: names used twice, pins, boxes, topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_daemon.config.base import MIN_RATE_PER_S
from edge_daemon.config.camera import (
    BrowserOptions,
    PicameraOptions,
    StreamOptions,
    SyntheticOptions,
    picamera_faults,
    stream_url_fault,
)
from edge_daemon.config.mqtt import check_host, username_fault
from edge_daemon.config.panel import panel_faults
from edge_daemon.config.topic_names import FLEET_ROOT, RESERVED_LEVELS, topic_fault
from edge_daemon.config.validation import suggest
from edge_daemon.config.web import host_fault, parse_listen
from edge_daemon.config.yaml_source import ConfigSource, KeyPath
from edge_daemon.domain.errors import LabelError, WebError
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import WHOLE_FRAME

if TYPE_CHECKING:
    from edge_daemon.config.schema import CameraOptions, Config


def cross_check(config: Config, source: ConfigSource) -> None:
    """Raise ConfigError for the first value that contradicts another."""
    for index, button in enumerate(config.buttons):
        if button.label is not None:
            try:
                check_label(button.label)
            except LabelError as exc:
                raise source.error(("buttons", index, "label"), str(exc)) from exc
    _check_camera(config, source)
    _check_regions(config, source)
    _check_panel(config, source)
    _check_trigger(config, source)
    _check_scene(config, source)
    _check_fleet(config, source)
    _check_broker(config, source)
    _check_topics(config, source)
    _check_listen(config, source)
    _check_serial(config, source)


def _check_broker(config: Config, source: ConfigSource) -> None:
    if config.mqtt.host is not None:
        try:
            check_host(config.mqtt.host)
        except ValueError as exc:
            raise source.error(("mqtt", "host"), str(exc)) from exc
    if fault := username_fault(config.mqtt.username or ""):
        raise source.error(("mqtt", "username"), fault)
    rates = {"result_per_s": config.mqtt.result_per_s, "requests_per_s": config.mqtt.requests_per_s}
    for key, rate in rates.items():
        if 0 < rate < MIN_RATE_PER_S:
            text = f"{rate:g} is too low; give at least {MIN_RATE_PER_S:g}, or 0 for no limit"
            raise source.error(("mqtt", key), text)


def _check_camera(config: Config, source: ConfigSource) -> None:
    if isinstance(config.camera, PicameraOptions):
        for path, text in picamera_faults(config.camera):
            raise source.error(path, text)
    if isinstance(config.camera, StreamOptions):
        if fault := stream_url_fault(config.camera.url):
            raise source.error(("camera", "url"), fault)
        if config.camera.username is None and (config.camera.password_file or config.camera.credential):
            raise source.error(("camera", "url"), "a password is given but no name; set camera.username")
    if isinstance(config.camera, BrowserOptions) and config.web.listen is None:
        raise source.error(
            ("camera", "type"), "`browser` needs the page, which gives the picture; set web.listen"
        )


def _check_topics(config: Config, source: ConfigSource) -> None:
    for index, region in enumerate(config.regions):
        if config.mqtt.host is not None and region.name in RESERVED_LEVELS:
            text = f"region '{region.name}' would hide an MQTT topic of that name; pick another name"
            raise source.error(("regions", index, "name"), text)
    topics: dict[KeyPath, str | None] = {
        ("mqtt", "base_topic"): config.mqtt.base_topic,
        ("mqtt", "discovery", "prefix"): config.mqtt.discovery.prefix,
    }
    for path, topic in topics.items():
        if topic is not None and (fault := topic_fault(topic)):
            raise source.error(path, f"{topic[:40]!r} {fault}")
    base = config.mqtt.base_topic or f"edge_daemon/{config.device.topic_id}"
    if config.mqtt.host is not None and f"{base}/".startswith(f"{FLEET_ROOT}/"):
        given: KeyPath = ("mqtt", "base_topic") if config.mqtt.base_topic else ("device", "id")
        text = f"the device would be at {base[:60]}, but {FLEET_ROOT} is the fleet's topic; pick another"
        raise source.error(given, text)


def _check_listen(config: Config, source: ConfigSource) -> None:
    for index, host in enumerate(config.web.hosts):
        if fault := host_fault(host):
            raise source.error(("web", "hosts", index), fault)
    if config.web.listen is None:
        return
    try:
        parse_listen(config.web.listen)
    except WebError as exc:
        raise source.error(("web", "listen"), str(exc).removeprefix("web.listen: ")) from exc


def _check_serial(config: Config, source: ConfigSource) -> None:
    port = config.serial.port
    if port is not None and not port.startswith("/"):
        text = f"'{port}' is no serial port; write its path, such as /dev/ttyACM0 or /dev/serial/by-id/…"
        raise source.error(("serial", "port"), text)


def _check_regions(config: Config, source: ConfigSource) -> None:
    names = [region.name for region in config.regions]
    if config.combine_regions == "text" and not names:
        raise source.error(
            ("combine_regions",), "`text` joins the labels of regions; name some under `regions`"
        )
    for index, region in enumerate(config.regions):
        place: KeyPath = ("regions", index)
        if names.index(region.name) != index:
            raise source.error(
                (*place, "name"), f"two regions are named '{region.name}'; give each its own name"
            )
        if region.name == WHOLE_FRAME and (len(names) > 1 or config.combine_regions == "text"):
            raise source.error(
                (*place, "name"), f"'{WHOLE_FRAME}' is the name of the whole frame; pick another"
            )
        width, height = region.box[2:]
        if width <= 0 or height <= 0:
            text = f"width and height must be above 0, got {width:g} x {height:g}"
            raise source.error((*place, "box"), text)
        if max(region.box) > 1 and min(width, height) < 1:
            text = (
                f"{list(region.box)} fits no frame: it is {width:g} x {height:g} pixels, as numbers above 1 "
                "are pixels; give four fractions of the frame (0 to 1), or at least 1 x 1 pixel"
            )
            raise source.error((*place, "box"), text)
        if (outside := _outside(config.camera, region.box)) is not None:
            raise source.error((*place, "box"), f"{list(region.box)} reaches outside {outside}")
    for index, button in enumerate(config.buttons):
        if button.region is not None and button.region not in names:
            text = f"no region '{button.region}'{suggest(button.region, names)}"
            raise source.error(("buttons", index, "region"), text)


def _outside(camera: CameraOptions, box: tuple[float, float, float, float]) -> str | None:
    """Return the area that a box exceeds; None for a box that fits.

    A box in pixels is checked only for cameras that deliver exactly the configured size.
    """
    right, bottom = box[0] + box[2], box[1] + box[3]
    if max(box) <= 1:
        return "the frame" if max(right, bottom) > 1.000001 else None
    if isinstance(camera, PicameraOptions | SyntheticOptions | StreamOptions) and camera.size is not None:
        width, height = camera.size
        if right > width or bottom > height:
            return f"the frame of {width} x {height} (camera.size)"
    return None


def _check_panel(config: Config, source: ConfigSource) -> None:
    for path, text in panel_faults(config.buttons, config.panel):
        raise source.error(path, text)


def _check_trigger(config: Config, source: ConfigSource) -> None:
    has_trigger = any(button.action == "trigger" for button in config.buttons)
    if config.trigger == "gpio" and not has_trigger:
        text = "`gpio` needs a light barrier or button; give one of `buttons` the action trigger"
        raise source.error(("trigger",), text)
    if has_trigger and config.trigger not in ("gpio", "mqtt"):
        text = f"a button has the action trigger, but the trigger is `{config.trigger}`; set it to gpio"
        raise source.error(("trigger",), text)
    if config.trigger == "mqtt" and config.mqtt.host is None:
        raise source.error(("trigger",), "`mqtt` needs a broker; set mqtt.host")


def _check_scene(config: Config, source: ConfigSource) -> None:
    if config.scene != "on":
        return
    if config.model.features not in ("embedding", "auto"):
        text = f"`on` needs embeddings, but model.features is `{config.model.features}`; set it to embedding"
        raise source.error(("scene",), text)
    if config.classifier.type in ("pretrained", "regression"):
        text = (
            f"`on` needs taught classes, but classifier.type is `{config.classifier.type}`; pick another type"
        )
        raise source.error(("scene",), text)


def _check_fleet(config: Config, source: ConfigSource) -> None:
    if config.fleet.group is None:
        return
    if config.mqtt.host is None:
        raise source.error(("fleet", "group"), "a fleet needs a broker; set mqtt.host")
    if config.classifier.type == "pretrained":
        text = "`pretrained` learns no examples that could be shared; pick another classifier.type"
        raise source.error(("fleet", "group"), text)
