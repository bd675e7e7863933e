"""The `mqtt:` section, and the check of its `host`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta

from edge_daemon.config.base import RATE_SCHEMA, ConfigSection, FilePath, Positive


class TlsOptions(ConfigSection, frozen=True):
    """TLS to the broker. Without `ca_file` the system's certificate store is used."""

    enabled: bool = False
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    insecure: bool = False


class DiscoveryOptions(ConfigSection, frozen=True):
    """MQTT discovery of Home Assistant."""

    enabled: bool = False
    prefix: str = "homeassistant"


class MqttOptions(ConfigSection, frozen=True):
    """The broker and the topics. `host` null turns MQTT off.

    The password is read from `password_file`, else `credential`, else $EDGE_DAEMON_MQTT_PASSWORD.
    """

    host: str | None = "localhost"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    username: str | None = None
    password_file: FilePath | None = None
    credential: str | None = None
    """Name of a file in $CREDENTIALS_DIRECTORY that holds the password."""
    base_topic: str | None = None
    """Default `edge_daemon/<device id>`."""
    version: Literal["auto", "5", "3.1.1"] = "auto"
    """MQTT version. `auto` tries 5 and falls back to 3.1.1 if the broker does not support it."""
    qos: Literal[0, 1, 2] = 1
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 30
    max_queued: Positive = 1000
    max_reconnect_s: Annotated[float, Meta(ge=1, le=86400)] = 60.0
    result_per_s: Annotated[float, Meta(ge=0, le=240, extra_json_schema=RATE_SCHEMA)] = 0.0
    """Maximum number of `result` messages per second; 0 sends one per frame."""
    requests_per_s: Annotated[float, Meta(ge=0, le=1000, extra_json_schema=RATE_SCHEMA)] = 10.0
    """Maximum number of requests per second in the long run, 20 at once; 0 is no limit."""
    tls: TlsOptions = TlsOptions()
    discovery: DiscoveryOptions = DiscoveryOptions()


MAX_STRING_BYTES = 65_535
"""Length limit of a text or a password in MQTT."""

_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE)
_ENCRYPTED = {"mqtts", "ssl", "tls"}
_PLAIN = {"mqtt", "tcp"}
_OFF = {"off", "none", "disabled"}
"""Words that are meant to turn MQTT off; as a name one of them would be looked up without end."""


def username_fault(username: str) -> str | None:
    """Return why MQTT can't send a user name, and the remedy; None for a usable one."""
    size = len(username.encode())
    return f"it has {size} bytes; MQTT allows {MAX_STRING_BYTES}" if size > MAX_STRING_BYTES else None


def check_host(host: str) -> None:
    """Raise ValueError with a remedy for a URL, a port, a path or a space in a host."""
    url = _SCHEME.fullmatch(host.strip())
    if url is not None and url["scheme"].lower() not in _ENCRYPTED | _PLAIN:
        raise ValueError(
            f"{url['scheme']}:// is not supported; MQTT over TCP or TLS is, with a host and a port"
        )
    rest = host.strip() if url is None else url["rest"]
    name, port = _split(rest.rpartition("@")[2].split("/")[0])
    if not name or name.lower() in _OFF:
        raise ValueError("write the broker's name or address, or null to turn MQTT off")
    if re.search(r"[\s\0]", name):
        raise ValueError("a broker's name or address holds no space and no control character")
    if name == host:
        return
    ways = [f"write `host: {name}`"]
    if port:
        ways.append(f"`port: {port}`")
    if url is not None and url["scheme"].lower() in _ENCRYPTED:
        ways.append("`tls: {enabled: true}`" if port else "`port: 8883`, `tls: {enabled: true}`")
    if "@" in rest:
        ways.append("`username`, and `password_file` with the password")
    raise ValueError(f"write only the broker's name or address here; {', '.join(ways)}")


def _split(text: str) -> tuple[str, str]:
    """Return host and port; a host with several colons is an IPv6 address."""
    if bracketed := re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", text):
        return bracketed[1], bracketed[2] or ""
    name, colon, port = text.partition(":")
    return (text, "") if ":" in port else (name.strip(), port) if colon else (text.strip(), "")
