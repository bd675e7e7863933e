"""Reloads of a real `edge-daemon run`: an invalid change is reported, and the daemon continues."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import numpy as np
import pytest

from edge_daemon.example_store.store import ExampleStore
from tests.harness.daemon_harness import MODEL, TIMEOUT_S, wait_until
from tests.harness.mosquitto import Mosquitto, free_port
from tests.harness.mqtt_client import Listener
from tests.harness.shared_files import shared_path

INFO = "edge_daemon/unit/info"

SYNTHETIC = {"type": "synthetic", "size": [160, 120], "fps": 15}


class Device:
    """A daemon in a child process, with its log and the messages it sends to the service manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "config.yaml"
        self.notes: list[str] = []
        self.lines: list[str] = []
        self.settings: dict[str, object] = {
            "device": {"id": "unit"},
            "camera": SYNTHETIC,
            "mqtt": {"host": None},
            "model": {"name": str(shared_path(MODEL))},
            "store": {"path": str(folder / "examples.sqlite")},
        }
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        self.write({})

    def write(self, changes: Mapping[str, object]) -> None:
        """Replace the configuration file, as an editor does."""
        fresh = self.folder / "fresh.yaml"
        fresh.write_text(json.dumps({**self.settings, **changes}))
        fresh.replace(self.path)

    def start(self) -> None:
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "WATCHDOG_USEC": "20000000",
        }
        command = [sys.executable, "-m", "edge_daemon", "run", "--config", str(self.path)]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self._readers = [threading.Thread(target=read) for read in (self._read_log, self._read_notes)]
        for reader in self._readers:
            reader.start()

    def _read_log(self) -> None:
        """Collect the log until the process closes it."""
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def _read_notes(self) -> None:
        """Collect notifications until an empty datagram arrives."""
        while note := self._notify.recv(4096).decode():
            self.notes.append(note)

    def reload(self, changes: Mapping[str, object]) -> None:
        self.write(changes)
        self.process.send_signal(signal.SIGHUP)

    def wait_for_log(self, part: str, since: int = 0) -> str:
        return wait_until(
            lambda: next((line for line in self.lines[since:] if part in line), ""),
            lambda: f"no {part!r} in:\n{''.join(self.lines)}",
        )

    def wait_for_note(self, part: str, since: int = 0) -> str:
        return wait_until(
            lambda: next((note for note in self.notes[since:] if part in note), ""),
            lambda: f"no {part!r} in {self.notes[since:]}",
        )

    def works(self) -> None:
        """Wait until frames are classified and reported to the manager from now on."""
        since = len(self.notes)
        self.wait_for_note("WATCHDOG=1", since)
        assert self.process.poll() is None

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", str(self.folder / "notify"))  # ends _read_notes
        for reader in self._readers:
            reader.join()
        self._notify.close()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path)
    device.start()
    try:
        device.wait_for_log("ready: ")
        yield device
    finally:
        device.end()


def _taken_port() -> tuple[socket.socket, int]:
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    return holder, int(holder.getsockname()[1])


BROKER = {"host": "127.0.0.1", "port": 1}

BAD_CHANGES: dict[str, tuple[dict[str, object], str]] = {
    "no such model": ({"model": {"name": "nosuch"}}, "no model 'nosuch'"),
    "not a model": ({"model": {"name": __file__}}, "test_reload.py"),
    "no such delegate": ({"model": {"name": "edge_embedder_v1", "delegate": "/none.so"}}, "/none.so"),
    "classes without names": (
        {"model": {"name": "edge_embedder_v1"}, "classifier": {"type": "pretrained"}},
        "edge_embedder_v1",
    ),
    "no password file": ({"mqtt": {**BROKER, "username": "a", "password_file": "/none"}}, "/none"),
    "no credential": ({"mqtt": {**BROKER, "username": "a", "credential": "x"}}, "mqtt.credential"),
    "no authority": ({"mqtt": {**BROKER, "tls": {"enabled": True, "ca_file": "/none.pem"}}}, "/none.pem"),
    "no key of the fleet": ({"mqtt": BROKER, "fleet": {"group": "g"}}, "fleet.group needs a key"),
    "base topic": ({"mqtt": {**BROKER, "base_topic": "/edge"}}, "mqtt.base_topic"),
    "discovery prefix": ({"mqtt": {**BROKER, "discovery": {"prefix": "a+b"}}}, "mqtt.discovery.prefix"),
    "no token": ({"web": {"listen": "0.0.0.0:8080"}}, "web.token_file"),
    "no token file": ({"web": {"listen": 8080, "token_file": "/none"}}, "/none"),
    "an address of another machine": ({"web": {"listen": "192.0.2.1:8080"}}, "192.0.2.1:8080"),
    "no folder for the store": ({"store": {"path": "/proc/none/e.sqlite"}}, "/proc/none"),
    "a folder as the store": ({"store": {"path": "/"}}, "store '/'"),
    "no film": ({"camera": {"type": "replay", "path": "/none"}}, "/none does not exist"),
    "no camera": ({"camera": {"type": "v4l2", "device": "/dev/video99"}}, "/dev/video99"),
    "a region larger than the frame": (
        {"regions": [{"name": "left", "box": [0, 0, 300, 20]}]},
        "regions[0].box",
    ),
    "a region off a replayed picture": (
        {
            "camera": {"type": "replay", "path": str(Path(__file__).parents[2] / "docs/page-phone.png")},
            "regions": [{"name": "left", "box": [0, 0, 30000, 20]}],
        },
        "region 'left'",
    ),
}


def test_every_invalid_change_is_reported_and_the_daemon_continues(device: Device) -> None:
    for name, (changes, part) in BAD_CHANGES.items():
        since, noted = len(device.lines), len(device.notes)
        device.reload(changes)
        line = device.wait_for_log("configuration not reloaded", since)
        assert part in line, f"{name}: {line}"
        device.wait_for_note("READY=1", noted)
        device.works()
    assert not any("Traceback" in line or "STOPPING" in line for line in device.lines)
    assert not any("STOPPING" in note for note in device.notes)


def test_a_port_in_use_is_reported_and_the_daemon_continues(device: Device) -> None:
    holder, port = _taken_port()
    with holder:
        device.reload({"web": {"listen": port}})
        assert f"127.0.0.1:{port}" in device.wait_for_log("configuration not reloaded")
        device.works()


def test_a_page_keeps_its_port_through_good_and_bad_reloads(device: Device) -> None:
    holder, port = _taken_port()
    holder.close()
    page = {"web": {"listen": port}}
    device.reload(page)
    device.wait_for_log("configuration reloaded")
    since = len(device.lines)
    device.reload({**page, "device": {"id": "other"}})
    device.wait_for_log("configuration reloaded", since)
    device.reload({**page, "camera": {"type": "v4l2", "device": "/dev/video99"}})
    device.wait_for_log("the old one is restored")
    wait_until(lambda: "yes" if _answers(port) else "", lambda: "".join(device.lines))
    device.works()


def test_unavailable_pins_are_reported_and_the_daemon_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "nosuch")
    device = Device(tmp_path)
    device.start()
    try:
        device.wait_for_log("ready: ")
        device.reload({"buttons": [{"pin": 17, "label": "cat"}]})
        assert "buttons and LEDs can't be used" in device.wait_for_log("configuration not reloaded")
        device.works()
    finally:
        device.end()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_a_camera_that_never_worked_can_be_replaced_by_another_missing_one(tmp_path: Path) -> None:
    """A lost camera is a state: only a working camera is kept if the new one fails."""
    device = Device(tmp_path)
    device.settings["camera"] = {"type": "v4l2", "device": "/dev/video98"}
    device.write({})
    device.start()
    try:
        device.wait_for_log("camera lost")
        device.reload({"camera": {"type": "v4l2", "device": "/dev/video99"}})
        device.wait_for_log("camera lost: no camera at /dev/video99")
        device.reload({"camera": SYNTHETIC})
        device.wait_for_log("configuration reloaded")
        device.works()
    finally:
        device.end()


def test_the_later_of_two_edits_is_used(tmp_path: Path) -> None:
    device = Device(tmp_path)
    with Mosquitto() as broker, Listener(broker.port, INFO) as listener:
        device.settings["mqtt"] = {"host": broker.host, "port": broker.port}
        device.write({})
        device.start()
        try:
            device.wait_for_log("ready: ")
            for delay_s in (0.0, 0.05, 0.2, 0.5, 1.0):
                device.reload({"device": {"id": "unit", "name": "first"}})
                time.sleep(delay_s)
                device.reload({"device": {"id": "unit", "name": f"second after {delay_s:g}"}})
                _wait_for_last(listener, f"second after {delay_s:g}")
        finally:
            device.end()


def _wait_for_last(listener: Listener, name: str) -> None:
    wait_until(
        lambda: "yes" if name in "".join(listener.texts(INFO)[-1:]) else "",
        lambda: f"no {name!r} at last in {listener.texts(INFO)}",
    )


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6])
def test_a_stop_is_never_lost_in_a_reload(device: Device, delay_s: float) -> None:
    device.reload({"device": {"id": "other"}})
    time.sleep(delay_s)
    device.process.send_signal(signal.SIGTERM)
    assert device.process.wait(TIMEOUT_S) == 0


def test_a_reload_while_the_daemon_starts_does_not_end_it(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.start()
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not _handles_hup(device.process.pid) and time.monotonic() < deadline:
            time.sleep(0.001)
        for _ in range(20):
            device.process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        device.wait_for_log("ready: ")
        device.wait_for_log("nothing changed")
        device.works()
    finally:
        device.end()


def _handles_hup(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) & 1 << (signal.SIGHUP - 1))


def test_examples_survive_a_failed_reload_and_the_store_is_closed_at_the_end(device: Device) -> None:
    path = device.folder / "examples.sqlite"
    with ExampleStore(path) as store:
        store.add(np.ones(4, np.float32), "cat", space="elsewhere")
    device.reload({"camera": {"type": "v4l2", "device": "/dev/video99"}})
    device.wait_for_log("the old one is restored")
    device.works()
    device.process.send_signal(signal.SIGTERM)
    assert device.process.wait(TIMEOUT_S) == 0
    assert not path.with_name(f"{path.name}-wal").exists(), "the store was not closed"
    with ExampleStore(path) as store:
        assert store.counts == {"cat": 1}


def test_a_reload_reads_a_changed_secret_of_an_unchanged_configuration(
    device: Device, tmp_path: Path
) -> None:
    port, token = free_port(), tmp_path / "token"
    web = {"web": {"listen": f"127.0.0.1:{port}", "token_file": str(token)}}
    token.write_text("first-token-of-the-page")
    device.reload(web)
    device.wait_for_log("configuration reloaded")
    since = len(device.lines)
    token.write_text("second-token-of-the-page")
    device.reload(web)
    device.wait_for_log("configuration reloaded", since)

    def status(given: str) -> int:
        headers = {"Authorization": f"Bearer {given}"}
        return httpx.get(f"http://127.0.0.1:{port}/api/health", headers=headers).status_code

    assert (status("first-token-of-the-page"), status("second-token-of-the-page")) == (401, 200)
