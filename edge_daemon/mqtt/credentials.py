"""The credentials of a connection to the broker: user name, password and TLS context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_daemon.config.mqtt import MAX_STRING_BYTES, MqttOptions, TlsOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.system.regular_file import require_regular
from edge_daemon.system.secrets import Secret, SecretKind, read_secret

if TYPE_CHECKING:
    import ssl

MQTT_PASSWORD = SecretKind("mqtt", "password", "EDGE_DAEMON_MQTT_PASSWORD", BrokerError, MAX_STRING_BYTES)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password; `tls` is the context of an encrypted connection."""

    username: str | None
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None
    password_hint: str = ""
    """A likely mistake in the password, for a refusal by the broker; empty where none is known."""


def read_credentials(options: MqttOptions, environ: Mapping[str, str]) -> Credentials:
    """Read the files and variables that the settings name. Raises BrokerError for an unusable one."""
    secret = read_secret(MQTT_PASSWORD, options.password_file, options.credential, environ)
    password = None if secret is None else _checked_password(secret)
    if password is not None and options.username is None:
        raise BrokerError("an MQTT password is given but no name; set mqtt.username")
    hint = _password_hint(options.username, secret, password)
    context = tls_context(options.tls) if options.tls.enabled else None
    return Credentials(options.username, password, context, hint)


def tls_context(tls: TlsOptions) -> ssl.SSLContext:
    """Build the context of a connection. Raises BrokerError for files that can't be used."""
    import ssl  # late: most brokers in a house have no TLS

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


def _checked_password(secret: Secret) -> str:
    """Return the password of a file without the newline at its end; that of a variable as it is."""
    if secret.path is None:
        return secret.text
    password = secret.text.rstrip("\r\n")
    if not password:
        raise BrokerError(f"{secret.source}: {secret.path} is empty; write the password into it")
    if "\n" in password or "\0" in password:
        raise BrokerError(f"{secret.source}: {secret.path} must hold the password alone, in one line")
    return password


def _password_hint(username: str | None, secret: Secret | None, password: str | None) -> str:
    if secret is None or password is None:
        return "" if username is None else "no password is set; see mqtt.password_file"
    if password != password.strip():
        return (
            f"the password in {secret.source} begins or ends with a space; remove it if it is not part of "
            "the password"
        )
    return ""
