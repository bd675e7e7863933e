"""Late imports: a camera's library is imported when its source is opened."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("numpy", "PIL", "cv2", "picamera2", "libcamera")


def test_the_factory_imports_no_library() -> None:
    code = f"import sys, edge_daemon.camera.factory; print(*(set({HEAVY!r}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
