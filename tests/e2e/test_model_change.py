"""`edge-daemon models use` beside a running daemon, which takes the model and the examples with a reload."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.models.registry import DEFAULT_MODEL
from tests.e2e.test_reload import Device
from tests.harness.model_user import OTHER, ModelUser


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    (tmp_path / "device").mkdir()
    device = Device(tmp_path / "device")
    yield device
    device.end()


def test_a_running_daemon_uses_the_new_model_and_the_examples_after_a_reload(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    user = ModelUser(tmp_path, monkeypatch)
    device.path = user.config
    device.start()
    device.wait_for_log("ready: ")
    assert user.pull_other() == 0
    command = re.search(
        rf"the running daemon uses {DEFAULT_MODEL} until: kill -HUP (\d+)", capsys.readouterr().out
    )
    assert command is not None
    assert int(command[1]) == device.process.pid
    since = len(device.lines)
    device.process.send_signal(signal.SIGHUP)
    device.wait_for_log("configuration reloaded", since)
    device.works()
    assert not any("taught with another model" in line for line in device.lines[since:])
    assert user.spaces() == {OTHER: 3}
