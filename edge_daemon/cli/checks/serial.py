"""The doctor's check of the serial port: its board, its permissions, its holder."""

from __future__ import annotations

import os
from pathlib import Path

from edge_daemon.app.model_factory import store_path
from edge_daemon.board.process import daemon_process, processes_with_files
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import SerialError

_STABLE_NAMES = Path("/dev/serial/by-id")


def check_serial(config: Config, root: Path = Path("/"), stable_names: Path = _STABLE_NAMES) -> Check:
    """Open the port, unless the running service or another program has it. Some boards restart by that.

    `stable_names` is the folder of links that name the boards.
    """
    path = config.serial.port
    if path is None:
        return Check("serial", "ok", "no port configured")
    from edge_daemon.serial.port import SerialPort

    device = os.path.realpath(path)
    where = path if device == path else f"{path} ({device})"
    service = daemon_process(store_path(config), root)
    holders = processes_with_files({device}, root)
    if any(process == service for process, _ in holders):
        return Check("serial", "ok", f"{where}; the running service has it open")
    if holders:
        names = ", ".join(f"{name} (process {process})" for process, name in holders)
        return Check("serial", "failed", f"{where} is open in {names}", "end that program")
    try:
        SerialPort(path, config.serial.baud).close()
    except SerialError as exc:
        what, _, remedy = str(exc).partition("; ")
        return Check("serial", "failed", what, remedy)
    return Check(
        "serial", "ok", f"{where}, {config.serial.baud} baud", _name_hint(path, device, stable_names)
    )


def _name_hint(path: str, device: str, folder: Path) -> str:
    """Return a hint with the board's own name, if there is one and another path is configured."""
    links = sorted(folder.iterdir()) if folder.is_dir() else []
    own = [str(link) for link in links if os.path.realpath(link) == device]
    if not own or path in own or path.startswith("/dev/serial/"):
        return ""
    return f"write {own[0]}, which stays the name of this board when others are plugged in"
