"""`model.features: auto` in a running daemon: a reload selects the best features for the new examples."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_daemon.example_store.image_folders import find_pictures, import_pictures
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.daemon_harness import MODEL, TIMEOUT_S
from tests.harness.digit_pictures import draw_folders
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.shared_files import shared_path

INFO, LABEL = "edge_daemon/meter/info", "edge_daemon/meter/label"


@contextmanager
def daemon(tmp_path: Path, shown: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    settings = {
        "model": {"name": str(shared_path(MODEL)), "features": "auto"},
        "store": {"path": str(tmp_path / "examples.sqlite")},
        "camera": {"type": "replay", "path": str(shown), "fps": 10, "loop": True},
        "device": {"id": "meter"},
        "mqtt": {"host": "127.0.0.1", "port": port},
    }
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(settings))
    environment = {**os.environ, "CACHE_DIRECTORY": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_daemon", "run", "--config", str(path)], env=environment
    )
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0


def test_a_reload_selects_patch_features_for_small_digits(tmp_path: Path) -> None:
    digits = draw_folders(tmp_path / "digits", 5)
    with (
        Mosquitto() as broker,
        Listener(broker.port) as listener,
        daemon(tmp_path, digits / "7", broker.port) as process,
    ):
        listener.wait_for(LABEL, b"unknown", TIMEOUT_S)
        assert listener.wait_for(INFO).json()["model"] == Path(MODEL).stem
        with ExampleStore(tmp_path / "examples.sqlite") as store:
            import_pictures(store, TfliteEmbedder(shared_path(MODEL)), find_pictures(digits))
        listener.clear()
        process.send_signal(signal.SIGHUP)
        listener.wait_for(LABEL, b"7", TIMEOUT_S)
        assert listener.wait_for(INFO).json()["model"] == "patch"
