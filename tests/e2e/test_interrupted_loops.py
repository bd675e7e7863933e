"""Ctrl-C in the Python loops of the documentation ends them without a traceback, and ends their programs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_harness import wait_until

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("page", "words"), [("programs.md", ["."]), ("recipes/tiny-sorter.md", [])])
def test_ctrl_c_ends_a_loop_without_a_traceback(page: str, words: list[str], tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    script = tmp_path / "loop.py"
    script.write_text(code)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with Mosquitto() as broker:
        options = [
            "--device",
            "stage",
            "--set",
            f"mqtt.host={broker.host}",
            "--set",
            f"mqtt.port={broker.port}",
        ]
        process = subprocess.Popen(
            [sys.executable, str(script), *words, "--device", "stage", *options],
            env=environment,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            wait_until(lambda: bool(children.read_text()))
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            _, error = process.communicate(timeout=30)
        finally:
            process.kill()
    assert "loop.py" not in error
    assert process.returncode == -signal.SIGINT
