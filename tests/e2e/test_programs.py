"""The programs of docs/programs.md and docs/mqtt.md as written, beside the daemon and a real broker."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.harness.daemon_harness import Ear, Stage, Turntable
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_harness import wait_until

TEXT = (Path(__file__).parents[2] / "docs/programs.md").read_text()
OTHER_LABEL = "[blue] 1"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs that write what they do into the file `log` beside it."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("red", OTHER_LABEL):
        text = f"#!/bin/sh\necho '{name} starts' >> {tmp_path}/log\n"
        text += f"trap \"echo '{name} ends' >> {tmp_path}/log; exit\" TERM\nsleep 1000 &\nwait\n"
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


@contextmanager
def running(kind: str, programs: Path, broker: Mosquitto) -> Iterator[None]:
    """Run the page's loop of this kind of code."""
    (code,) = re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)
    script = programs.with_name("loop")
    script.write_text(code)
    interpreter = {"sh": "/bin/sh", "python": sys.executable}[kind]
    options = ["--device", "stage", "--set", f"mqtt.host={broker.host}", "--set", f"mqtt.port={broker.port}"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [interpreter, str(script), str(programs), *options]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("kind", ["sh", "python"])
def test_a_program_runs_for_each_label(kind: str, programs: Path, tmp_path: Path) -> None:
    red, blue = (np.full((120, 160, 3), colour, np.uint8) for colour in ((200, 40, 40), (20, 40, 220)))
    source = Turntable(red)
    log = tmp_path / "log"

    def wait_for(line: str, times: int = 1) -> None:
        wait_until(lambda: log.exists() and log.read_text().splitlines().count(line) == times, timeout_s=30)

    label = "edge_daemon/stage/label"
    with Mosquitto() as broker, running(kind, programs, broker), Ear(broker.port, label) as ear:
        settings = [f"mqtt.host={broker.host}", f"mqtt.port={broker.port}"]
        buttons = f"buttons=[{{pin: 17, label: red}}, {{pin: 27, label: '{OTHER_LABEL}'}}]"
        with Stage(source, [*settings, buttons], tmp_path) as stage:
            stage.click(17)
            wait_for("red starts")
            source.picture = blue
            stage.click(27)
            wait_for(f"{OTHER_LABEL} starts")
            source.picture = red
            wait_for("red starts", times=2)
            ear.wait_for_state(label, "red")
            source.broken = True
            ear.wait_for_state(label, "")
            if kind == "python":
                wait_for("red ends", times=2)
            source.broken = False
            wait_for("red starts", times=3)
        if kind == "python":
            wait_for("red ends", times=3)
            wait_for(f"{OTHER_LABEL} ends")


@pytest.mark.parametrize("kind", ["sh", "python"])
def test_the_label_of_a_device_that_is_off_starts_no_program(
    kind: str, programs: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"

    def publish(port: int, topic: str, payload: str) -> None:
        command = ["mosquitto_pub", "-p", str(port), "-q", "1", "-r", "-t", f"edge_daemon/stage/{topic}"]
        subprocess.run([*command, "-m", payload], check=True)

    def started(times: int) -> bool:
        return log.exists() and log.read_text().count("red starts") == times

    with Mosquitto() as broker, running(kind, programs, broker):
        publish(broker.port, "label", "red")
        publish(broker.port, "availability", "online")
        wait_until(lambda: started(1), timeout_s=30)
        publish(broker.port, "availability", "offline")
        publish(broker.port, "label", OTHER_LABEL)
        publish(broker.port, "label", "red")
        publish(broker.port, "availability", "online")
        wait_until(lambda: started(2), timeout_s=30)
    assert f"{OTHER_LABEL} starts" not in log.read_text()


def test_the_python_program_of_the_mqtt_page_prints_a_label_while_it_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/mqtt.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    script, out = tmp_path / "labels.py", tmp_path / "out"
    script.write_text(code)
    red = np.full((120, 160, 3), (200, 40, 40), np.uint8)

    def wait_for(*labels: str) -> None:
        wait_until(lambda: out.read_text().splitlines()[-len(labels) :] == list(labels), timeout_s=30)

    with Mosquitto() as broker, out.open("wb") as stdout:
        command = [sys.executable, str(script), broker.host, str(broker.port), "stage"]
        with subprocess.Popen(command, stdout=stdout) as program:
            settings = [
                f"mqtt.host={broker.host}",
                f"mqtt.port={broker.port}",
                "buttons=[{pin: 17, label: red}]",
            ]
            with Stage(Turntable(red), settings, tmp_path) as stage:
                stage.click(17)
                wait_for("red")
            wait_for("red", "")
            program.kill()
