"""What is trusted, and who we are, on an encrypted connection."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_daemon.config.mqtt import MqttOptions, TlsOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.password import password_hint, read_password
from edge_daemon.system.regular_file import require_regular

if TYPE_CHECKING:
    import ssl


def tls_context(tls: TlsOptions) -> ssl.SSLContext:
    """Build the context of a connection. Raises BrokerError for files that can't be used."""
    try:
        for name in (tls.ca_file, tls.cert_file, tls.key_file):
            if name is not None:
                require_regular(Path(name))
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file, _no_passphrase)
    except (OSError, ValueError) as exc:  # SSLError is an OSError
        files = ", ".join(name for name in (tls.ca_file, tls.cert_file, tls.key_file) if name)
        raise BrokerError(f"mqtt.tls: can't use {files}: {_reason(exc)}") from exc
    # Python 3.13 would refuse the authorities that `openssl req -x509` makes: they name no key usage.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase; store it without one: openssl pkey -in KEY -out NEW")


def _reason(exc: Exception) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and its password, and on an encrypted connection what is trusted and who we are."""

    username: str | None
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None
    password_hint: str = ""
    """What may be wrong with the password, for when the broker refuses it."""


def read_credentials(options: MqttOptions, environ: Mapping[str, str]) -> Credentials:
    """Read what the settings name. Raises BrokerError for files that can't be used."""
    password = read_password(options, environ)
    if password is not None and options.username is None:
        raise BrokerError("an MQTT password is given but no name; set mqtt.username")
    hint = password_hint(options, password)
    if not options.tls.enabled:
        return Credentials(options.username, password, None, hint)
    # Late, as most brokers in a house have none.
    from edge_daemon.mqtt.credentials import tls_context

    return Credentials(options.username, password, tls_context(options.tls), hint)
