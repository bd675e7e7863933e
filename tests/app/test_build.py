"""Building the daemon: what is read, and what is released after an error."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_daemon.app.build import build, build_trainer
from edge_daemon.app.model_factory import build_embedder
from edge_daemon.app.preflight import preflight
from edge_daemon.app.region_factory import build_regions
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.config.schema import Config, config_digest, load_config
from edge_daemon.daemon.board_monitor import BoardMonitor
from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store import database, store_file
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.models import cohort_file
from edge_daemon.mqtt import bridge
from edge_daemon.mqtt.payloads import Info
from tests.harness import fake_picamera2


def config(folder: Path, *settings: str) -> Config:
    store = json.dumps(str(folder / "examples.sqlite"))
    return load_config(None, ["camera.type=synthetic", f"store.path={store}", *settings])


@pytest.mark.parametrize("features", ["embedding", "auto"])
def test_a_start_reads_the_store_once_beside_the_look_for_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: str
) -> None:
    ExampleStore(tmp_path / "examples.sqlite").close()
    opened: list[str] = []
    real: Callable[..., sqlite3.Connection] = store_file.open_file

    def record(name: object, **options: object) -> sqlite3.Connection:
        opened.append(str(name))
        return real(name, **options)

    for module in (database, store_file):
        monkeypatch.setattr(module, "open_file", record)
    build(preflight(config(tmp_path, f"model.features={features}"))).close()
    read = [name.removeprefix("file:") for name in opened if "immutable" not in name]  # these read a header
    assert read == [f"{tmp_path}/examples.sqlite?mode=rw", f"{tmp_path}/examples.sqlite"]


def test_the_digest_is_that_of_the_configuration_as_it_was_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = config(tmp_path, "model.features=auto", "mqtt.host=127.0.0.1")
    built: list[Info] = []
    real = bridge.build_bridge

    def record(options: MqttOptions, info: Info, *rest: Any) -> bridge.MqttBridge:
        built.append(info)
        return real(options, info, *rest)

    monkeypatch.setattr(bridge, "build_bridge", record)
    build(preflight(loaded)).close()
    assert [info.config_digest for info in built] == [config_digest(loaded)]


def test_the_cohort_is_read_once_for_several_regions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [f"{{name: r{number}, box: [0, 0, 20, 20], examples: own}}" for number in range(3)]
    split = config(tmp_path, f"regions=[{', '.join(boxes)}]", "scene=off")
    hashed: list[Path] = []
    real = cohort_file._sha256

    def record(path: Path) -> str:
        hashed.append(path)
        return real(path)

    monkeypatch.setattr(cohort_file, "_sha256", record)
    embedder, regions = build_embedder(split), build_regions(split)
    with ExampleStore(tmp_path / "examples.sqlite") as store:
        trainer = build_trainer(split, store, embedder, regions)
        assert len({id(trainer.classifier(region.name)) for region in regions}) == 3
    assert len(hashed) == 1


def test_a_failed_build_closes_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Path] = []
    real = ExampleStore.close

    def record(store: ExampleStore) -> None:
        closed.append(store.path)
        real(store)

    def refuse(*args: object) -> BoardMonitor:
        raise StoreError("refused")

    monkeypatch.setattr(ExampleStore, "close", record)
    monkeypatch.setattr("edge_daemon.app.build.build_board_monitor", refuse)
    with pytest.raises(StoreError, match="refused"):
        build(preflight(config(tmp_path)))
    assert closed == [tmp_path / "examples.sqlite"]


@pytest.mark.parametrize(
    ("regions", "second"), [("[]", [(272, 204)]), ("[{name: small, box: [0, 0, 100, 100]}]", [])]
)
def test_a_pi_camera_gets_the_scale_that_model_and_regions_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, regions: str, second: list[tuple[int, int]]
) -> None:
    rig = fake_picamera2.install(monkeypatch)
    rig.platform = "PISP"
    store = json.dumps(str(tmp_path / "examples.sqlite"))
    loaded = load_config(None, ["camera={type: picamera2}", f"store.path={store}", f"regions={regions}"])
    daemon = build(preflight(loaded))
    mailbox = Mailbox()
    monkeypatch.setattr(daemon._capture, "_mailbox", mailbox)
    stop = threading.Event()
    capture = threading.Thread(target=daemon._capture.run, args=(stop,))
    capture.start()
    frame = mailbox.take_all(10.0).frame
    stop.set()
    capture.join()
    assert frame is not None
    assert frame.size == (640, 480)
    assert [stream["size"] for stream in rig.second_streams] == second
    assert rig.requests_out == 0
    daemon.close()
