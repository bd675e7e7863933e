"""What importing costs: the help needs no numpy, the core no adapter library."""

from __future__ import annotations

import subprocess
import sys

ADAPTERS = ["picamera2", "cv2", "gpiozero", "paho", "ai_edge_litert", "tflite_runtime", "amqtt", "starlette"]


def modules_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and return the modules it left loaded."""
    script = f"{code}\nimport sys; print('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_loads_no_numpy_and_no_adapter() -> None:
    code = "from edge_daemon.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not modules_after(code) & {"numpy", "PIL", "yaml", "msgspec", *ADAPTERS}


def test_configuration_and_wiring_load_no_adapter_library_and_no_pillow() -> None:
    assert not modules_after("import edge_daemon.config.schema, edge_daemon.app.build") & {
        "numpy.fft",
        "PIL",
        *ADAPTERS,
    }


def test_package_works_with_no_adapter_library_installed() -> None:
    blocked = f"import sys\nfor name in {ADAPTERS!r}: sys.modules[name] = None\n"
    modules = modules_after(
        blocked
        + "import edge_daemon.config.schema, edge_daemon.pipeline.pipeline, edge_daemon.example_store.store\n"
        "import edge_daemon.learning.classifiers.knn"
    )
    assert "edge_daemon.learning.classifiers.knn" in modules
