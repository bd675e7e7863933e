"""Where the broker's password comes from: never the configuration itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_daemon.errors import BrokerError
from edge_daemon.mqtt.options import MqttOptions

VARIABLE = "EDGE_DAEMON_MQTT_PASSWORD"


def read_password(options: MqttOptions, environ: Mapping[str, str]) -> str | None:
    """Return the password from `password_file`, else the systemd credential, else the environment.

    A newline at the end of a file is not part of it. Raises BrokerError for a file that can't be read.
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


def _first_line(key: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
        raise BrokerError(f"{key}: can't read the password from {path}: {reason}") from exc
    password = text.rstrip("\r\n")
    if not password:
        raise BrokerError(f"{key}: {path} is empty; write the password into it")
    return password
