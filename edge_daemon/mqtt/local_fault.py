"""Faults of this device, told from faults of the broker: no network yet, no name yet, no time yet."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

from edge_daemon.board.clock import clock_synced
from edge_daemon.board.network import is_mdns_name, is_this_device, link_fault, names_fault
from edge_daemon.errors import BrokerError

LOCAL_RETRY_S = 10.0
"""The longest pause after such a fault: trying again costs the broker nothing, and the fault may pass at once."""

_NOT_YET_VALID, _HAS_EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL's x509_vfy.h."""


class LocalFault(BrokerError):
    """There is no connection, and the reason lies with this device or passes without the broker."""


def local_fault(host: str, exc: Exception, root: Path = Path("/")) -> str | None:
    """Return why a connection failed for a reason of this device; None where the broker may be the reason."""
    if getattr(exc, "verify_code", None) in (_NOT_YET_VALID, _HAS_EXPIRED):
        return None if clock_synced(root) is not False else _no_time()
    if is_this_device(host) or not isinstance(exc, OSError):
        return None
    if fault := link_fault(root):
        return fault
    return _no_name(host, root) if isinstance(exc, socket.gaierror) else None


def _no_time() -> str:
    shown = datetime.now(UTC)
    return (
        f"TLS waits for the time: its certificate is not valid at {shown:%Y-%m-%d %H:%M} UTC, which the clock"
        " shows without being synchronised; see `timedatectl`"
    )


def _no_name(host: str, root: Path) -> str:
    if fault := names_fault(host, root):
        return fault
    if is_mdns_name(host):
        return f"nobody on the local network answers to the name {host} yet; is the broker up, and its name right?"
    return f"the name {host} is not resolved yet; is the name right, and the name server in reach?"
