"""The key of the fleet group, read from a file, a systemd credential or the environment."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from edge_daemon.config.fleet import FleetOptions
from edge_daemon.domain.errors import FleetError
from edge_daemon.system.secrets import SecretKind, read_secret

FLEET_KEY = SecretKind("fleet", "key", "EDGE_DAEMON_FLEET_KEY", FleetError)
MIN_BYTES = 16
_HINT = "make one with `openssl rand -hex 32` and give every device of the group the same"


def read_key(options: FleetOptions, environ: Mapping[str, str]) -> bytes:
    """Return the key from `key_file`, else the systemd credential, else the environment.

    The key is written as hexadecimal digits, 16 bytes or more. Raises FleetError with the reason, never with
    the key itself.
    """
    secret = read_secret(FLEET_KEY, options.key_file, options.credential, environ)
    if secret is None:
        raise FleetError(f"fleet.group needs a key: set fleet.key_file; {_HINT}")
    try:
        key = bytes.fromhex(secret.text.strip())
    except ValueError as exc:
        raise FleetError(f"{secret.where}: the key is not written in hexadecimal digits; {_HINT}") from exc
    if len(key) < MIN_BYTES:
        raise FleetError(
            f"{secret.where}: the key has {len(key)} bytes, at least {MIN_BYTES} are needed; {_HINT}"
        )
    return key


def key_id(key: bytes) -> str:
    """Return 16 hexadecimal digits that identify a key and reveal nothing of it."""
    return hmac.digest(key, b"edge_daemon fleet key", "sha256").hex()[:16]
