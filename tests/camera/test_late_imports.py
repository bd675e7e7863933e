"""Late imports: a source is imported when it is configured, its library when it is opened."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("numpy", "PIL", "cv2", "picamera2", "libcamera")


def test_the_factory_imports_no_library() -> None:
    code = f"import sys, edge_daemon.camera.factory; print(*(set({HEAVY!r}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_only_the_configured_source_is_imported() -> None:
    code = """
import sys
from edge_daemon.camera.factory import open_camera
from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.system.clock import SystemClock
open_camera(SyntheticOptions(), SystemClock())
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "edge_daemon.camera.simulator.source" in modules
    others = {
        f"edge_daemon.camera.{name}" for name in ("browser", "opencv", "picamera", "replay", "stream", "v4l2")
    }
    assert not modules & others
