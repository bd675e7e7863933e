"""Explanations of a failed connection to the broker, each in one line with its remedy.

Causes in this device (no network, no name resolution, clock not synchronised) are kept apart from others.
"""

from __future__ import annotations

import errno
import socket
from datetime import UTC, datetime
from pathlib import Path

from edge_daemon.board.clock import clock_synced, is_trusted
from edge_daemon.board.network import is_mdns_name, is_this_device, link_fault, names_fault
from edge_daemon.domain.errors import BrokerError

LOCAL_RETRY_S = 10.0
"""Maximum pause after a local error: it may end at any moment, and a retry costs the broker nothing."""

_CONNACK = 0x20
_TLS_ALERT = 0x15
_EXPECTS_TLS = "if that port expects TLS (often 8883), set mqtt.tls.enabled: true"
_NO_TLS = "if that port is the one without TLS (often 1883), set mqtt.tls.enabled: false"
_CERTIFICATE = "if the broker requires a client certificate, set mqtt.tls.cert_file and mqtt.tls.key_file"

_NOT_YET_VALID, _HAS_EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL's x509_vfy.h."""

_UNREACHABLE = (errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ETIMEDOUT)


class LocalConnectionError(BrokerError):
    """A connection that failed for a reason in this device or in its network."""


def explain_no_connection(address: str, exc: Exception, encrypted: bool) -> str:
    """Explain an exception of the socket or of the TLS handshake."""
    text = f"can't reach the MQTT broker at {address}: {_reason(exc)}"
    return f"{text}; {_NO_TLS}" if encrypted and _is_no_tls(exc) else text


def explain_silence(address: str, waited_s: float, encrypted: bool) -> str:
    """Explain a connection without an answer to CONNECT."""
    text = f"no MQTT broker answers at {address} within {waited_s:g} s"
    return text if encrypted else f"{text}; {_EXPECTS_TLS}"


def explain_no_answer(address: str, first_byte: int | None, error: OSError | None, encrypted: bool) -> str:
    """Explain a connection that ended before the broker's answer; `error` is that of the last read."""
    if first_byte == _TLS_ALERT and not encrypted:
        return f"the port at {address} expects TLS; set mqtt.tls.enabled: true"
    if first_byte not in (None, _CONNACK):
        return f"the server at {address} is no MQTT broker; check mqtt.host and mqtt.port"
    text = f"the MQTT broker at {address} hung up without an answer"
    if not encrypted:
        return f"{text}; {_EXPECTS_TLS}"
    return f"{text}{'' if error is None else f': {_reason(error)}'}; {_CERTIFICATE}"


def explain_local_cause(host: str, exc: Exception, root: Path = Path("/")) -> str | None:
    """Return the cause in this device of a failed connection; None if the broker may be the cause."""
    if getattr(exc, "verify_code", None) in (_NOT_YET_VALID, _HAS_EXPIRED):
        return _clock_cause(str(getattr(exc, "verify_message", exc)), datetime.now(UTC), root)
    if is_this_device(host) or not _is_unreachable(exc):
        return None
    if cause := link_fault(root):
        return cause
    return _name_cause(host, root) if isinstance(exc, socket.gaierror) else None


def _is_no_tls(exc: Exception) -> bool:
    """Return whether a handshake failed as it does at a port without TLS."""
    import ssl

    if isinstance(exc, ssl.SSLCertVerificationError):
        return False
    return isinstance(exc, ssl.SSLError | ConnectionResetError | BrokenPipeError)


def _is_unreachable(exc: Exception) -> bool:
    """Return whether the host sent no answer at all, not even a refusal."""
    if isinstance(exc, socket.gaierror | TimeoutError):
        return True
    return isinstance(exc, OSError) and exc.errno in _UNREACHABLE


def _clock_cause(verify_message: str, now: datetime, root: Path) -> str | None:
    if is_trusted(clock_synced(root), now):
        return None
    return (
        f"its certificate is not accepted: {verify_message}, but this device's clock, which shows"
        f" {now:%Y-%m-%d %H:%M} UTC, is not synchronised; TLS waits for the time, see `timedatectl`"
    )


def _name_cause(host: str, root: Path) -> str:
    if cause := names_fault(host, root):
        return cause
    if is_mdns_name(host):
        return f"nothing on the local network answers to {host} yet; is the broker up, and its name right?"
    return f"{host} is not resolved yet; is the name right, and the name server in reach?"


def _reason(exc: Exception) -> str:
    verify_message = getattr(exc, "verify_message", None)  # of an SSLCertVerificationError
    if verify_message is not None:
        return f"its certificate is not accepted: {verify_message}"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc) or type(exc).__name__
