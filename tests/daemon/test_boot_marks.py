"""Time stamps of a start, in the file that `edge-daemon bench --boot` reads."""

from __future__ import annotations

import json
from pathlib import Path

from edge_daemon.board.clock import boot_id
from edge_daemon.daemon.boot_marks import BootMarks


def test_marks_are_written_once(tmp_path: Path) -> None:
    times = iter((3.0, 5.5, 6.25, 99.0))
    marks = BootMarks({"RUNTIME_DIRECTORY": f"{tmp_path}:/run/other"}, lambda: next(times))
    for name in ("loaded", "wired", "first_label"):
        marks.note(name)
    marks.note("wired")
    marks.write()
    (written,) = tmp_path.iterdir()
    content = json.loads(written.read_text())
    written.unlink()
    marks.write()

    assert content["boot_id"] == boot_id()
    assert content["marks"] | {"process": 0} == {
        "process": 0,
        "loaded": 3.0,
        "wired": 5.5,
        "first_label": 6.25,
    }
    assert list(tmp_path.iterdir()) == []


def test_without_a_runtime_directory_no_file_is_written(tmp_path: Path) -> None:
    for environ in ({}, {"RUNTIME_DIRECTORY": str(tmp_path / "gone")}):
        marks = BootMarks(environ)
        marks.note("first_label")
        marks.write()
    assert list(tmp_path.iterdir()) == []
