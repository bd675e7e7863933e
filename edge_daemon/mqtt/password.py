"""Where the broker's password comes from: never the configuration itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError

VARIABLE = "EDGE_DAEMON_MQTT_PASSWORD"
_MAX_BYTES = 65_535
"""MQTT's own limit."""


def read_password(options: MqttOptions, environ: Mapping[str, str]) -> str | None:
    """Return the password from `password_file`, else the systemd credential, else the environment.

    A newline at the end of a file and a byte-order mark are not part of it. Raises BrokerError for a file
    that can't be read.
    """
    if options.password_file is not None:
        return _first_line("mqtt.password_file", Path(options.password_file))
    if options.credential is not None:
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise BrokerError(
                f"mqtt.credential '{options.credential}': $CREDENTIALS_DIRECTORY is not set; "
                "add LoadCredential= to the unit, or use mqtt.password_file"
            )
        return _first_line("mqtt.credential", Path(folder) / options.credential)
    return environ.get(VARIABLE)


def password_hint(options: MqttOptions, password: str | None) -> str:
    """Return what may be wrong with a password that a broker refuses, empty where nothing strikes."""
    if password is None:
        return "" if options.username is None else "no password is set; see mqtt.password_file"
    if password != password.strip():
        key = "password_file" if options.password_file else "credential" if options.credential else None
        where = f"mqtt.{key}" if key else f"${VARIABLE}"
        return f"the password in {where} begins or ends with a space; remove it if it is none of the password"
    return ""


def _first_line(key: str, path: Path) -> str:
    try:
        text = _read(path)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise BrokerError(f"{key}: can't read the password from {path}: {reason}") from exc
    password = text.rstrip("\r\n")
    if not password:
        raise BrokerError(f"{key}: {path} is empty; write the password into it")
    if "\n" in password or "\0" in password:
        raise BrokerError(f"{key}: {path} must hold the password alone, in one line")
    return password


def _read(path: Path) -> str:
    """Read a small file, with or without a byte-order mark. Raises OSError and ValueError."""
    if path.exists() and not path.is_file():
        raise ValueError("not a file")
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ValueError("not UTF-8; write it as UTF-8 text") from exc
