"""The `mqtt:` section."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edge_daemon.options import FilePath, Options, Positive


class TlsOptions(Options, frozen=True):
    """TLS to the broker. Without `ca_file` the system's certificate store is used."""

    enabled: bool = False
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    insecure: bool = False


class DiscoveryOptions(Options, frozen=True):
    """Home Assistant's discovery."""

    enabled: bool = False
    prefix: str = "homeassistant"


class MqttOptions(Options, frozen=True):
    """The broker and our place in it. `host` None turns MQTT off. The password never stands here."""

    host: str | None = "localhost"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    username: str | None = None
    password_file: FilePath | None = None
    credential: str | None = None
    """Name of a file in $CREDENTIALS_DIRECTORY that holds the password."""
    base_topic: str | None = None
    """Default `edge_daemon/<device id>`."""
    version: Literal["auto", "5", "3.1.1"] = "auto"
    """Of MQTT: `auto` tries 5 and falls back to 3.1.1 where the broker doesn't speak it."""
    qos: Literal[0, 1, 2] = 1
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 30
    max_queued: Positive = 1000
    max_reconnect_s: Annotated[float, Meta(ge=1, le=86400)] = 60.0
    result_per_s: Annotated[float, Meta(ge=0, le=240)] = 0.0
    """Most `result` messages a second; 0 sends one a frame."""
    requests_per_s: Annotated[float, Meta(ge=0, le=1000)] = 10.0
    """Most requests taken a second in the long run, 20 at once; 0 takes all."""
    tls: TlsOptions = TlsOptions()
    discovery: DiscoveryOptions = DiscoveryOptions()
