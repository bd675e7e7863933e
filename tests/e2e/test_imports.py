"""Cost of imports: the package alone loads nothing, the help no numpy, the core no adapter library."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import assert_type

import pytest

import edge_daemon
from edge_daemon.domain.types import Prediction
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.learning.classifiers.knn import KNNClassifier
from edge_daemon.tflite.embedder import TfliteEmbedder

ADAPTERS = [
    "picamera2", "cv2", "gpiozero", "paho", "ai_edge_litert", "tflite_runtime", "amqtt", "starlette", "evdev",
]  # fmt: skip
PACKAGE = Path(edge_daemon.__file__).parent


def modules_after(code: str) -> set[str]:
    """Run code in a new interpreter and return the loaded modules."""
    script = f"{code}\nimport sys; print('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_the_package_alone_loads_no_other_module() -> None:
    assert modules_after("import edge_daemon") - modules_after("pass") == {"edge_daemon"}


@pytest.mark.parametrize("name", edge_daemon.__all__)
def test_a_public_name_loads_no_adapter_library_and_is_imported_once(name: str) -> None:
    modules = modules_after(
        f"from edge_daemon import {name}\nimport edge_daemon\nvars(edge_daemon)['{name}']"
    )
    assert not modules & {"PIL", *ADAPTERS}


def test_every_public_name_is_documented() -> None:
    assert edge_daemon.__all__ == ["Embedder", "ExampleStore", "KNNClassifier", "__version__", "load_config"]
    for name in edge_daemon.__all__:
        assert getattr(edge_daemon, name).__doc__


def test_type_checkers_see_the_types_of_public_names(tmp_path: Path) -> None:
    classifier = assert_type(edge_daemon.KNNClassifier(k=1), KNNClassifier)
    classifier.add([1.0, 0.0], "a")
    assert assert_type(classifier.predict([1.0, 0.0]), Prediction).label == "a"
    with assert_type(edge_daemon.ExampleStore(tmp_path / "examples.sqlite"), ExampleStore) as store:
        assert store.counts == {}
    assert_type(edge_daemon.load_config(overrides=["classifier.k=5"]).classifier.k, int)
    assert_type(edge_daemon.Embedder, type[TfliteEmbedder])


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'edge_daemon' has no attribute 'Classifier'"):
        edge_daemon.Classifier  # type: ignore[attr-defined]  # noqa: B018


def test_help_loads_no_numpy_and_no_adapter() -> None:
    code = "from edge_daemon.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not modules_after(code) & {"numpy", "PIL", "yaml", "msgspec", *ADAPTERS}


def test_the_help_of_every_command_loads_no_adapter() -> None:
    code = """
from edge_daemon.cli.main import COMMANDS, main
for words in (*([name] for name in COMMANDS), ["examples", "fetch"]):
    try: main([*words, "--help"])
    except SystemExit: pass
"""
    modules = modules_after(code)
    assert {"edge_daemon.cli.sort", "edge_daemon.cli.keys", "edge_daemon.cli.fetch"} <= modules
    assert not modules & set(ADAPTERS)


def test_other_commands_load_no_actuator() -> None:
    code = "from edge_daemon.cli.main import main\nmain(['config', 'check', '--set', 'mqtt.host=null'])"
    modules = modules_after(code)
    assert "edge_daemon.cli.config" in modules
    assert not [name for name in modules if name.startswith("edge_daemon.actuators")]


@pytest.mark.parametrize("library", ["gpiozero", "paho", "evdev"])
def test_a_vendor_library_is_imported_in_one_file(library: str) -> None:
    statement = re.compile(rf"^ *(?:import|from) {library}\b|import_module\(\"{library}\"\)", re.MULTILINE)
    importers = [path for path in PACKAGE.rglob("*.py") if statement.search(path.read_text())]
    assert len(importers) == 1, importers


def test_configuration_and_wiring_load_no_adapter_library_and_no_pillow() -> None:
    assert not modules_after("import edge_daemon.config.schema, edge_daemon.app.build") & {
        "numpy.fft",
        "PIL",
        *ADAPTERS,
    }


TAUGHT = """
from datetime import UTC, datetime
from pathlib import Path
import numpy as np
from edge_daemon.app.build import build_pipeline
from edge_daemon.app.model_factory import build_embedder
from edge_daemon.camera.frame_readers import open_reader
from edge_daemon.config.schema import load_config
from edge_daemon.domain.commands import AddExample, Clear, Origin, Undo
from edge_daemon.domain.events import Ready
from edge_daemon.domain.types import Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.system.clock import SystemClock
folder = Path({folder!r})
options = ["store.path=" + str(folder / "examples.sqlite"), "mqtt.host=null", "scene=auto"]
config = load_config(None, options)
embedder = build_embedder(config)
random = np.random.default_rng(0)
with ExampleStore(str(config.store.path)) as store:
    for number in range(60):
        centre = np.eye(embedder.size)[number % 3]
        vector = centre + random.normal(0, 0.01, embedder.size)
        store.add(vector.astype(np.float32), "abc"[number % 3], space=embedder.space)
np.save(folder / "film.npy", random.integers(0, 255, (2, 480, 640, 3), np.uint8))
film = open_reader(folder / "film.npy")
pipeline = build_pipeline(config, SystemClock())
"""
"""Code that teaches a store and builds a pipeline on it."""


def test_the_first_label_waits_for_no_image_library(tmp_path: Path) -> None:
    code = TAUGHT.format(folder=str(tmp_path)) + (
        "happened = pipeline.process(Frame(film.read(), 0, 1.0, datetime.now(UTC)), [])\n"
        "next(event for event in happened if isinstance(event, Ready))\n"
    )
    modules = modules_after(code)
    assert "edge_daemon.teaching.object_copies" in modules
    assert "PIL" not in modules


def test_a_device_loads_no_masked_arrays(tmp_path: Path) -> None:
    """Teaching, fits, copies, a learned scene and undo included."""
    code = (
        TAUGHT.format(folder=str(tmp_path))
        + """
picture = film.read()
for seq in range(120):
    if seq > 100:
        picture = random.integers(0, 255, (480, 640, 3), np.uint8)
    commands = [AddExample("abd"[seq % 3], seq + 0.5, Origin("gpio"))] if seq > 100 else []
    list(pipeline.process(Frame(picture, seq, seq + 1.0, datetime.now(UTC)), commands))
for command in (Undo(Origin("gpio")), Clear(Origin("gpio"), "a")):
    list(pipeline.process(Frame(picture, 200, 200.0, datetime.now(UTC)), [command]))
"""
    )
    modules = modules_after(code)
    assert {"edge_daemon.learning.classifiers.ensemble", "edge_daemon.imaging.median"} <= modules
    assert "numpy.ma" not in modules - modules_after("import numpy")


def test_package_works_with_no_adapter_library_installed() -> None:
    blocked = f"import sys\nfor name in {ADAPTERS!r}: sys.modules[name] = None\n"
    modules = modules_after(
        blocked
        + "import edge_daemon.config.schema, edge_daemon.pipeline.pipeline, edge_daemon.example_store.store\n"
        "import edge_daemon.learning.classifiers.knn"
    )
    assert "edge_daemon.learning.classifiers.knn" in modules
