"""A model that is added keeps the files of its user, also when it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.imaging.input_range import parse_range
from edge_daemon.models.part_file import PartFile
from edge_daemon.models.teachable_machine import add
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness import tiny_models as tiny
from tests.harness.shared_files import shared_path
from tests.harness.small_disk import SmallDisk
from tests.harness.teachable_export import export_zip, exported, names_in


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    return tmp_path / "model_folder"


def test_labels_and_range_of_a_deleted_model_are_not_those_of_the_next(
    tmp_path: Path, model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = export_zip(tmp_path / "mine.zip", model__tflite=exported(), labels__txt="a\nb\n")
    (add(first, model_folder, values=parse_range("0..1")).path).unlink()
    second = tmp_path / "mine.tflite"
    second.write_bytes(tiny.quantised_pool(tiny.TYPE.UINT8, 1 / 128, 128))
    assert str(TfliteEmbedder(add(second, model_folder).path).input_range) == "from the scale of its input"
    assert names_in(model_folder) == ["mine.json.old", "mine.labels.txt.old", "mine.tflite"]
    assert (model_folder / "mine.labels.txt.old").read_text() == "a\nb\n"
    assert f"{model_folder}/mine.labels.txt: not used for the added model, kept as mine.labels.txt.old" in (
        caplog.text
    )


def test_a_label_file_of_the_user_is_kept(tmp_path: Path, model_folder: Path) -> None:
    model, own = tmp_path / "mine.tflite", model_folder / "mine.labels.txt"
    model.write_bytes(exported())
    model_folder.mkdir()
    own.write_text("0 a\n1 b\n")
    add(model, model_folder, labels=own)
    add(own.with_name("mine.tflite"), model_folder)
    assert (own.read_text(), names_in(model_folder)) == (
        "0 a\n1 b\n", ["mine.json", "mine.labels.txt", "mine.tflite"]
    )  # fmt: skip
    (tmp_path / "labels.txt").write_text("red\nblue\n")
    add(model, model_folder)
    assert (own.read_text(), own.with_name("mine.labels.txt.old").read_text()) == (
        "red\nblue\n", "0 a\n1 b\n"
    )  # fmt: skip
    (tmp_path / "labels.txt").unlink()
    add(model, model_folder)
    assert own.read_text() == "red\nblue\n"


def test_a_failed_addition_leaves_the_files_of_the_user(tmp_path: Path) -> None:
    model, labels = tmp_path / "mine.tflite", tmp_path / "names"
    model.write_bytes(exported())
    labels.write_text("red\nblue\n")
    disk = SmallDisk(tmp_path / "disk", "64k")
    own = disk.folder / "mine.labels.txt"
    try:
        own.write_text("a\nb\n")
        own.with_name("mine.json").write_text("{}")
        disk.fill()
        for given in (own, labels):
            with pytest.raises(ModelError, match="No space left on device"):
                add(model, disk.folder, labels=given)
            assert names_in(disk.folder) == ["filler", "mine.json", "mine.labels.txt"]
            assert own.read_text() == "a\nb\n"
    finally:
        disk.close()


def test_no_labels_are_left_when_another_process_writes_the_model(tmp_path: Path, model_folder: Path) -> None:
    model = tmp_path / "mine.tflite"
    model.write_bytes(exported())
    (tmp_path / "labels.txt").write_text("red\nblue\n")
    with PartFile(model_folder / "mine.tflite") as part:
        part.file.write(b"x")
        part.file.flush()
        with pytest.raises(ModelError, match="is being written by another process"):
            add(model, model_folder)
    assert names_in(model_folder) == ["mine.tflite.part"]


def test_nothing_is_left_when_the_last_step_is_interrupted(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    model = tmp_path / "mine.tflite"
    model.write_bytes(exported())
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        add(model, model_folder)
    assert names_in(model_folder) == []


def test_nothing_is_left_on_a_full_disk(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk", "200k")
    try:
        with pytest.raises(ModelError, match="No space left on device"):
            add(shared_path("models/mobilenet_v1_0.25_128_quant.tflite"), disk.folder)
        assert list(disk.folder.iterdir()) == []
    finally:
        disk.close()
