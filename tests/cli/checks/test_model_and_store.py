"""The doctor's checks of model, store and disk, each fault provoked."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.cli.checks import all as checks_all
from edge_daemon.cli.checks import storage as checks_storage
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.models.registry import DEFAULT_MODEL, find_model
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.doctor import run_check, run_check_as_nobody
from tests.harness.model_user import weaken_shipped_model


@pytest.mark.parametrize("content", [None, b"", b"no model at all", b"\x1c\0\0\0TFL3" + bytes(4000)])
def test_a_missing_or_corrupt_model_is_named(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.tflite"
    if content is not None:
        path.write_bytes(content)

    status, check = run_check(capsys, "model", f"model.name={path}")

    assert (status, check.state) == (1, "failed")
    assert str(path) in check.detail
    assert "edge-daemon models list" in check.hint


@pytest.mark.parametrize(("inference_ms", "advised"), [(0.5, True), (90.0, False)])
def test_the_accuracy_of_the_model_and_a_better_one_are_shown(
    inference_ms: float, advised: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weaken_shipped_model(monkeypatch)
    monkeypatch.setattr(checks_all, "inference_ms", lambda embedder, seconds: inference_ms)

    status, check = run_check(capsys, "model")

    assert (status, check.state) == (0, "ok")
    assert DEFAULT_MODEL in check.detail
    assert "% with ten examples of each class" in check.detail
    assert ("`edge-daemon models use " in check.hint) is advised


def test_a_store_that_is_not_there_yet_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state/examples.sqlite"

    status, check = run_check(capsys, "store", f"store.path={path}")

    assert (status, check.state, check.detail) == (0, "ok", f"{path}: nothing taught yet")
    assert list(tmp_path.iterdir()) == []


def test_a_corrupt_store_is_named_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "examples.sqlite"
    path.write_bytes(b"damage" * 500)

    status, check = run_check(capsys, "store", f"store.path={path}")

    assert (status, check.state) == (1, "failed")
    assert "corrupt" in check.detail
    assert list(tmp_path.iterdir()) == [path]


def test_an_example_that_is_left_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path) as store:
        store.add(np.ones(8, np.float32), "cat")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE examples SET created_at = 'x'")
        connection.commit()

    status, check = run_check(capsys, "store", f"store.path={path}")

    assert (status, check.state) == (0, "warning")
    assert "example 1 ('cat'): its created_at is not a time" in check.detail


@pytest.mark.parametrize("there", [True, False])
def test_a_store_that_may_not_be_written_is_named(there: bool, open_path: Path) -> None:
    path = open_path / "examples.sqlite"
    if there:
        ExampleStore(path).close()
        path.chmod(0o444)
    open_path.chmod(0o555)

    status, check = run_check_as_nobody("store", f"store.path={path}")
    open_path.chmod(0o755)

    assert (status, check.state) == (1, "failed")
    assert str(open_path) in check.detail
    assert check.hint


def test_a_disk_nearly_full_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks_storage, "MIN_FREE_MB", 10**12)

    status, check = run_check(capsys, "disk", f"store.path={tmp_path}/missing/examples.sqlite")

    assert (status, check.state) == (1, "failed")
    assert str(tmp_path) in check.detail
    assert "delete files" in check.hint


def test_the_disk_behind_a_closed_folder_is_still_measured(open_path: Path) -> None:
    closed = open_path / "closed"
    closed.mkdir(mode=0o700)

    _, check = run_check_as_nobody("disk", f"store.path={closed}/state/examples.sqlite")

    assert "MB free" in check.detail


def test_a_model_that_the_examples_chose_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "examples.sqlite"
    former = TfliteEmbedder(find_model("edge_embedder_v1"))
    with ExampleStore(path) as store:
        store.add(np.eye(1, former.size, dtype=np.float32)[0], "cat", space=former.space)

    _, check = run_check(capsys, "model", f"store.path={path}")

    assert check.detail.startswith(former.space)
    assert f"the stored examples are of it, not of {DEFAULT_MODEL}" in check.detail
    assert run_check(capsys, "store", f"store.path={path}")[1].state == "ok"
