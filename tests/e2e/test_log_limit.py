"""The log of a real daemon stays short when its label changes with every frame."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from edge_daemon.system.log_limit import MAX_LINES
from tests.harness.daemon_harness import MODEL
from tests.harness.shared_files import shared_path

CONFIG = """
model: {{name: {model}}}
store: {{path: {folder}/examples.sqlite}}
mqtt: {{host: null}}
smoothing: {{window: 1, hysteresis: 0, min_hold_s: 0}}
camera: {{type: replay, path: {folder}/film}}
"""


def test_a_label_that_changes_with_every_frame_does_not_fill_the_log(tmp_path: Path) -> None:
    photos = {label: shared_path(f"images/imprinting/test/{label}/0.jpg") for label in ("cat", "dog")}
    (tmp_path / "film").mkdir()
    for number in range(2 * MAX_LINES):
        label = ("cat", "dog")[number % 2]
        shutil.copy(photos[label], tmp_path / f"film/{number:03}.jpg")
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(model=shared_path(MODEL), folder=tmp_path))
    program = [sys.executable, "-m", "edge_daemon"]
    for label, photo in photos.items():
        subprocess.run([*program, "examples", "add", label, photo, "--config", config], check=True)
    done = subprocess.run([*program, "run", "--once", "--config", config], capture_output=True, text=True)
    assert done.returncode == 0
    lines = [line for line in done.stderr.splitlines() if "cat (" in line or "dog (" in line]
    assert len(lines) == MAX_LINES
    assert "further lines like this are left out" in lines[-1]
