"""The device that a command follows over MQTT: where it publishes, and whether it does."""

from __future__ import annotations

from edge_daemon.app.region_factory import label_names, region_names
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import ConfigError, RequestError
from edge_daemon.mqtt.topics import Topics, device_topics


def followed_topics(config: Config, device: str | None = None) -> Topics:
    """Return the topics of this device, or of another `device` at the same broker.

    Raises ConfigError when no broker is configured.
    """
    if config.mqtt.host is None:
        raise ConfigError("mqtt.host: no broker is configured; set one")
    base = None if device else config.mqtt.base_topic
    return device_topics(base, device or config.device.topic_id, region_names(config))


def check_region(config: Config, name: str | None) -> str | None:
    """Return `name` if it can be a region of the device. Raises RequestError.

    A configuration without regions may be that of another machine: the device's `info` has its regions.
    """
    names = label_names(config)
    if config.regions and name not in (None, *names):
        raise RequestError(f"no region '{name}'; regions are {', '.join(names)}")
    return name
