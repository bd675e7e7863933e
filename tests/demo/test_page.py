"""The page's port of a demo or a trial: the usual one if it is free, and never one for two of them."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from edge_daemon.demo.page import page_settings
from tests.harness.mosquitto import free_port


def port_of(settings: list[str]) -> int:
    return int(settings[0].removeprefix("web.listen="))


def test_another_port_is_used_where_the_usual_one_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = taken.getsockname()[1]
        with page_settings(tmp_path, usual) as settings:
            assert port_of(settings) not in (0, usual)
    with page_settings(tmp_path, usual) as settings:
        assert port_of(settings) == usual


def test_a_port_is_reserved_before_anything_listens_there(tmp_path: Path) -> None:
    """Another process asks for the same port while nothing listens at it."""
    usual = free_port()
    code = (
        "import sys; from pathlib import Path; from edge_daemon.demo.page import page_settings\n"
        "with page_settings(Path(), int(sys.argv[1])) as settings: print(settings[0])"
    )
    command = [sys.executable, "-c", code, str(usual)]
    with page_settings(tmp_path, usual) as settings:
        assert port_of(settings) == usual
        other = subprocess.run(command, capture_output=True, text=True, check=True)
        assert port_of([other.stdout.strip()]) not in (0, usual)
    freed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert port_of([freed.stdout.strip()]) == usual
