"""The page that `demo` and `try` open on the loopback address."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from edge_daemon.board.network import page_url
from edge_daemon.config.schema import Config
from edge_daemon.config.web import parse_listen
from edge_daemon.system.pip_hint import pip_install

USUAL_PORT = 8080
_TRIES = 20


def page_is_installed() -> bool:
    """Return whether the page's packages are installed."""
    return all(find_spec(name) for name in ("prometheus_client", "starlette", "uvicorn", "websockets"))


@contextmanager
def page_settings(folder: Path, usual: int = USUAL_PORT) -> Iterator[list[str]]:
    """Reserve a port, and yield the settings of a page there; what is set on it is kept in `folder`.

    The port is the usual one if it is free on 127.0.0.1, else another free one. Until the block ends, no
    other process of this machine reserves it.
    """
    with ExitStack() as reservations:
        port = next(
            (port for wanted in (usual, *[0] * _TRIES) if (port := _reserve(wanted, reservations))), usual
        )
        yield [f"web.listen={port}", f"web.settings_file={json.dumps(str(folder / 'settings.yaml'))}"]


def _reserve(wanted: int, reservations: ExitStack) -> int | None:
    """Return `wanted`, or a free port for 0, and reserve it; None if it is in use or reserved.

    The reservation is an abstract Unix socket with the port's number in its name: the kernel gives a name to
    one process at a time, and takes it back when the process ends.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            probe.bind(("127.0.0.1", wanted))
            port = int(probe.getsockname()[1])
            reservation.bind(f"\0edge-daemon-page-{port}")
        except OSError:
            reservation.close()
            return None
    reservations.enter_context(reservation)
    return port


def page_address(config: Config) -> str | None:
    """Return the page's URL; None where it is off."""
    if config.web.listen is None:
        return None
    address = parse_listen(config.web.listen)
    return page_url(address.ip, address.port)


def missing_page() -> str:
    """Return the line for an environment without the page's packages."""
    return f"the page's packages are not installed; run {pip_install('web')}"
