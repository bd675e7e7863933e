"""The key of the fleet group, read from a file, a systemd credential or the environment."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path

from edge_daemon.config.fleet import FleetOptions
from edge_daemon.domain.errors import FleetError
from edge_daemon.system.regular_file import read_regular, without_bom

VARIABLE = "EDGE_DAEMON_FLEET_KEY"
MIN_BYTES = 16
MAX_BYTES = 4096
_HINT = "make one with `openssl rand -hex 32` and give every device of the group the same"


def read_key(options: FleetOptions, environ: Mapping[str, str]) -> bytes:
    """Return the key from `key_file`, else the systemd credential, else the environment.

    The key is written as hexadecimal digits, 16 bytes or more. Raises FleetError with the reason, never with
    the key itself.
    """
    where, text = _find(options, environ)
    try:
        key = bytes.fromhex(text.strip())
    except ValueError as exc:
        raise FleetError(f"{where}: the key is not written in hexadecimal digits; {_HINT}") from exc
    if len(key) < MIN_BYTES:
        raise FleetError(f"{where}: the key has {len(key)} bytes, at least {MIN_BYTES} are needed; {_HINT}")
    return key


def key_id(key: bytes) -> str:
    """Return 16 hexadecimal digits that identify a key and reveal nothing of it."""
    return hmac.digest(key, b"edge_daemon fleet key", "sha256").hex()[:16]


def _find(options: FleetOptions, environ: Mapping[str, str]) -> tuple[str, str]:
    if options.key_file is not None:
        return _read("fleet.key_file", Path(options.key_file))
    if options.credential is not None:
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise FleetError(
                f"fleet.credential '{options.credential}': $CREDENTIALS_DIRECTORY is not set; "
                "add LoadCredential= to the unit, or use fleet.key_file"
            )
        return _read("fleet.credential", Path(folder) / options.credential)
    if (text := environ.get(VARIABLE)) is None:
        raise FleetError(f"fleet.group needs a key: set fleet.key_file; {_HINT}")
    return f"${VARIABLE}", text


def _read(option: str, path: Path) -> tuple[str, str]:
    try:
        return f"{option} {path}", without_bom(read_regular(path, MAX_BYTES)).decode()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
        raise FleetError(f"{option}: can't read the key from {path}: {reason}") from exc
