"""Child processes import this process's libraries and nothing from the current folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edge_daemon
from edge_daemon.system.child_process import module_command, script_command
from edge_daemon.tflite.sandbox import probe
from tests.harness import tiny_models as tiny

ROOT = Path(edge_daemon.__file__).parents[1]
PLANTED = ("numpy.py", "json.py", "runpy.py", "signal.py", "sitecustomize.py", "edge_daemon/__init__.py")
QUOTED = "shlex.quote(sys.executable)"
SHOW = "import edge_daemon, numpy\nprint(json.dumps([edge_daemon.__file__, numpy.__file__, sys.argv[1:]]))"


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that a module planted in the current folder writes when it runs."""
    folder, mark = tmp_path / "unpacked", tmp_path / "mark"
    for name in PLANTED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"open({str(mark)!r}, 'w').write(__file__)\nraise SystemExit\n")
    monkeypatch.chdir(folder)
    return mark


def said(command: list[str]) -> list[object]:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown: list[object] = json.loads(done.stdout)
    return shown


@pytest.mark.parametrize("also_on_the_path", ["", os.curdir, "{cwd}", ":{cwd}"])
def test_nothing_of_the_current_folder_is_run(
    mark: Path, monkeypatch: pytest.MonkeyPatch, also_on_the_path: str
) -> None:
    """Two ways to the current folder: `python -m`, which puts it first, and an empty part of $PYTHONPATH."""
    monkeypatch.setenv("PYTHONPATH", also_on_the_path.format(cwd=os.getcwd()))
    monkeypatch.syspath_prepend(also_on_the_path.format(cwd=os.getcwd()))
    assert said(script_command(SHOW, "a", "b")) == [edge_daemon.__file__, np.__file__, ["a", "b"]]
    assert not mark.exists()


def test_a_model_is_tried_in_a_folder_with_modules_of_these_names(mark: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(tiny.float_classifier())
    assert probe([model], 1, "none", "logits") == [None]
    assert not mark.exists()


def test_a_module_is_run_with_its_words_as_main(mark: Path) -> None:
    done = subprocess.run(module_command("edge_daemon", "--version"), capture_output=True, text=True)
    assert done.stdout.split() == ["edge-daemon", edge_daemon.__version__]
    assert not mark.exists()


def test_the_package_is_found_where_this_process_found_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from a source tree that is the current folder, as with `python -m edge_daemon`."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", ["", *(place for place in sys.path if place != str(ROOT))])
    assert said(script_command(SHOW))[0] == edge_daemon.__file__


def test_a_library_that_only_this_process_was_given_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "given.py").write_text("word = 'here'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert said(script_command("import given; print(json.dumps([given.word]))")) == ["here"]


def test_a_current_folder_that_was_removed_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert said(script_command(SHOW))[0] == edge_daemon.__file__


@pytest.mark.parametrize("allowed", [True, False])
def test_compiled_modules_go_where_this_process_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", not allowed)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "compiled"))
    said(script_command(SHOW))
    assert bool(list(tmp_path.rglob("*.pyc"))) == allowed
    said(script_command(SHOW, bytecode=tmp_path / "chosen"))
    assert list((tmp_path / "chosen").rglob("*.pyc"))


def test_no_other_file_of_the_package_starts_python() -> None:
    """Hints print the path of the interpreter for a shell, quoted."""
    texts = {path.name: path.read_text() for path in (ROOT / "edge_daemon").rglob("*.py")}
    starting = [name for name, text in texts.items() if "sys.executable" in text.replace(QUOTED, "")]
    assert starting == ["child_process.py"]
