"""The device that a command follows over MQTT: where it publishes, and whether it does."""

from __future__ import annotations

import msgspec

from edge_daemon.app.region_factory import label_names, region_names
from edge_daemon.config.schema import Config, Name
from edge_daemon.domain.errors import ConfigError, RequestError
from edge_daemon.mqtt.topics import Topics, device_topics


def followed_topics(config: Config, device: str | None = None) -> Topics:
    """Return the topics of this device, or of another `device` at the same broker.

    Raises ConfigError when no broker is configured, and for an id that no device has.
    """
    if config.mqtt.host is None:
        raise ConfigError("mqtt.host: no broker is configured; set one")
    if device is None:
        return device_topics(config.mqtt.base_topic, config.device.topic_id, region_names(config))
    try:
        msgspec.convert(device, Name)
    except msgspec.ValidationError as exc:
        text = f"--device: {device[:64]!r} is no id: up to 64 characters A-Z, a-z, 0-9, '_', '.' and '-'"
        raise ConfigError(text) from exc
    return device_topics(None, device, region_names(config))


def check_region(config: Config, name: str | None) -> str | None:
    """Return `name` if it can be a region of the device. Raises RequestError.

    A configuration without regions may be that of another machine: the device's `info` has its regions.
    """
    names = label_names(config)
    if config.regions and name not in (None, *names):
        raise RequestError(f"no region '{name}'; regions are {', '.join(names)}")
    return name
