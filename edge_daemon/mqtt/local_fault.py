"""Faults of this device, kept apart from faults of the broker: no network, no name, no time yet."""

from __future__ import annotations

import errno
import socket
from datetime import UTC, datetime
from pathlib import Path

from edge_daemon.board.clock import clock_synced, is_trusted
from edge_daemon.board.network import is_mdns_name, is_this_device, link_fault, names_fault
from edge_daemon.domain.errors import BrokerError

LOCAL_RETRY_S = 10.0
"""The longest pause after such a fault: it may pass at any moment, and a new try costs the broker nothing."""

_NOT_YET_VALID, _HAS_EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL's x509_vfy.h."""

_UNREACHABLE = (errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ETIMEDOUT)


class LocalFault(BrokerError):
    """There is no connection, and the reason is in this device or on its way out."""


def local_fault(host: str, exc: Exception, root: Path = Path("/")) -> str | None:
    """Return why a connection failed for a reason of this device; None where the broker may be the reason."""
    if getattr(exc, "verify_code", None) in (_NOT_YET_VALID, _HAS_EXPIRED):
        return _time_fault(str(getattr(exc, "verify_message", exc)), datetime.now(UTC), root)
    if is_this_device(host) or not _is_unreachable(exc):
        return None
    if fault := link_fault(root):
        return fault
    return _name_fault(host, root) if isinstance(exc, socket.gaierror) else None


def _is_unreachable(exc: Exception) -> bool:
    """Return whether nothing at all has answered, not even with a refusal."""
    if isinstance(exc, socket.gaierror | TimeoutError):
        return True
    return isinstance(exc, OSError) and exc.errno in _UNREACHABLE


def _time_fault(complaint: str, shown: datetime, root: Path) -> str | None:
    if is_trusted(clock_synced(root), shown):
        return None
    return (
        f"its certificate is not accepted: {complaint}, but this device's clock, which shows"
        f" {shown:%Y-%m-%d %H:%M} UTC, is not synchronised; TLS waits for the time, see `timedatectl`"
    )


def _name_fault(host: str, root: Path) -> str:
    if fault := names_fault(host, root):
        return fault
    if is_mdns_name(host):
        return f"nothing on the local network answers to {host} yet; is the broker up, and its name right?"
    return f"{host} is not resolved yet; is the name right, and the name server in reach?"
