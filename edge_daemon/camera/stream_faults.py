"""Texts for what can fail between this machine and a network camera."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator

from edge_daemon.domain.errors import CameraError

TIMEOUT_S = 5.0
"""Longest wait for a connection, and for each piece of an answer over HTTP."""


def rtsp_fault(log: str, username: str | None) -> str:
    """Return the reason in FFmpeg's words, such as `method DESCRIBE failed: 404 (Not Found)`, in ours."""
    if found := re.search(r"failed: (\d{3})\b", log):
        return status_fault(int(found[1]), username)
    if "timeout triggered" in log or "timed out" in log:
        return "accepts the connection but sends no stream in time"
    return "sends no RTSP stream that this program can decode; check camera.url"


def status_fault(status: int, username: str | None) -> str:
    """Return what a status of HTTP or RTSP means here, and the remedy."""
    match status:
        case 401 if username is None:
            return "asks for a password (401); set camera.username and camera.password_file"
        case 401 | 403:
            return f"refuses the user name or password ({status}); check camera.username and the password"
        case 404:
            return "has no stream at this path (404); check camera.url"
    return f"answers with status {status}; check camera.url"


@contextlib.contextmanager
def connection_errors(name: str) -> Iterator[None]:
    """Turn the errors of a connection into a CameraError."""
    try:
        yield
    except TimeoutError as exc:
        raise CameraError(f"{name} does not answer within {TIMEOUT_S:.0f} s; is it on?") from exc
    except ConnectionRefusedError as exc:
        raise CameraError(f"{name} refuses the connection; is the port right, and the stream on?") from exc
    except socket.gaierror as exc:
        raise CameraError(f"{name}: no host has this name ({exc.strerror}); check camera.url") from exc
    except OSError as exc:
        raise CameraError(f"{name}: the connection failed: {exc.strerror or exc}") from exc
