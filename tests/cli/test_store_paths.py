"""A wrong path of the store: nothing is made, moved or changed, and one line names the fault."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from tests.harness.shared_files import shared_path

_MODEL = "models/mobilenet_v1_0.25_128_quant.tflite"

_READING = [
    ["examples", "list"],
    ["examples", "export", "out.zip"],
    ["examples", "export", "out.json"],
    ["examples", "export", "out"],
    ["evaluate"],
    ["evaluate", "--features", "embedding"],
]
_CHANGING = [
    ["examples", "undo"],
    ["examples", "redo"],
    ["examples", "clear"],
    ["examples", "rename", "a", "b"],
    ["examples", "merge", "a", "b"],
    ["examples", "reembed"],
]
_ADDING = [["examples", "add", "cat", str(shared_path("images/cat.jpg"))]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return tmp_path


def run(words: list[str], *settings: str) -> int:
    """Run a command with a small model; return its exit status."""
    options = [f"model.name={shared_path(_MODEL)}", *settings]
    return main([*words, *(word for option in options for word in ("--set", option))])


@pytest.mark.parametrize("words", _READING + _CHANGING)
@pytest.mark.parametrize("features", ["embedding", "auto"])
def test_a_mistyped_path_makes_no_file_and_no_folder(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], features: str
) -> None:
    assert run(words, "store.path=new/nosuch.sqlite", f"model.features={features}") == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert "store 'new/nosuch.sqlite' does not exist" in line
    assert captured.out == ""
    assert os.listdir(folder) == []


@pytest.mark.parametrize("words", _READING)
@pytest.mark.parametrize("named", [True, False])
def test_the_default_store_is_empty_while_it_does_not_exist(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], named: bool
) -> None:
    path = folder / "state/edge_daemon/examples.sqlite"
    run(words, *([f"store.path={path}"] if named else []))
    captured = capsys.readouterr()
    assert "does not exist" not in captured.err
    if words[-1] == "list":
        assert captured.out == "no examples yet\n"
    assert "state" not in os.listdir(folder)


@pytest.mark.parametrize("words", _READING + _CHANGING + _ADDING)
def test_a_file_that_is_no_store_stays_as_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    photo = shared_path("images/cat.jpg").read_bytes()
    (folder / "photo.jpg").write_bytes(photo)
    assert run(words, "store.path=photo.jpg") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "'photo.jpg' is no example store" in line
    assert os.listdir(folder) == ["photo.jpg"]
    assert (folder / "photo.jpg").read_bytes() == photo


@pytest.mark.parametrize("words", _READING + _CHANGING + _ADDING)
def test_a_folder_in_the_place_of_a_store_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (folder / "pictures").mkdir()
    assert run(words, "store.path=pictures") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "store 'pictures' is a folder; give the path of a file" in line
    assert os.listdir(folder / "pictures") == []
