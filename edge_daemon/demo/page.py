"""The page that `demo` and `try` open on the loopback address."""

from __future__ import annotations

import json
import socket
from importlib.util import find_spec
from pathlib import Path

from edge_daemon.config.schema import Config
from edge_daemon.config.web import parse_listen
from edge_daemon.system.pip_hint import pip_install

USUAL_PORT = 8080


def page_is_installed() -> bool:
    """Return whether the page's packages are installed."""
    return all(find_spec(name) for name in ("prometheus_client", "starlette", "uvicorn", "websockets"))


def page_settings(folder: Path) -> list[str]:
    """Return the settings of a page at a free port; moved regions are kept in `folder`."""
    return [f"web.listen={free_port()}", f"web.regions_file={json.dumps(str(folder / 'regions.yaml'))}"]


def free_port(usual: int = USUAL_PORT) -> int:
    """Return the usual port if it is free on 127.0.0.1, else another free one."""
    for port in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return usual  # no port is free: the daemon's own error names this one


def page_address(config: Config) -> str | None:
    """Return the page's URL; None where it is off."""
    if config.web.listen is None:
        return None
    address = parse_listen(config.web.listen)
    host = f"[{address.ip}]" if ":" in address.ip else address.ip
    return f"http://{host}:{address.port}/"


def missing_page() -> str:
    """Return the line for an environment without the page's packages."""
    return f"the page's packages are not installed; run {pip_install('web')}"
