"""What a broker asks of who connects, read from its files before any connection is tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_daemon.errors import BrokerError
from edge_daemon.mqtt.options import MqttOptions
from edge_daemon.mqtt.password import password_hint, read_password

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class Access:
    """A name and its password, and on an encrypted connection what is trusted and who we are."""

    username: str | None
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None
    password_hint: str = ""
    """What may be wrong with the password, for when the broker refuses it."""


def read_access(options: MqttOptions, environ: Mapping[str, str]) -> Access:
    """Read what the settings name. Raises BrokerError for files that can't be used."""
    password = read_password(options, environ)
    if password is not None and options.username is None:
        raise BrokerError("an MQTT password is given but no name; set mqtt.username")
    hint = password_hint(options, password)
    if not options.tls.enabled:
        return Access(options.username, password, None, hint)
    # Late, as most brokers in a house have none.
    from edge_daemon.mqtt.tls import tls_context

    return Access(options.username, password, tls_context(options.tls), hint)
