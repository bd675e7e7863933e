"""`edge-daemon models add` with a web address, from a real server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from edge_daemon.config import paths
from tests.harness import tiny_models as tiny
from tests.harness.shared_files import shared_path
from tests.harness.small_disk import SmallDisk
from tests.harness.web_site import WebSite, serving_site


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty model folder, which the environment names."""
    monkeypatch.setenv("EDGE_DAEMON_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    monkeypatch.setattr(paths, "SERVICE_STATE", tmp_path / "service")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "models"


@pytest.fixture
def site() -> Iterator[WebSite]:
    files = {"letters.tflite": tiny.float_classifier(), "letters.labels.txt": b"a\nb\nc\nd\n"}
    with serving_site(WebSite(files)) as site:
        yield site


def test_a_tflite_file_is_added_with_the_labels_beside_it(
    site: WebSite, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", f"{site.address}/letters.tflite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "letters",
        "path": str(home / "letters.tflite"),
        "labels": ["a", "b", "c", "d"],
        "embedding_size": 3,
        "input_range": "-1..1, from a trial on pictures",
    }
    assert sorted(path.name for path in home.iterdir()) == [
        "letters.json",
        "letters.labels.txt",
        "letters.tflite",
    ]


def test_an_error_names_the_address_and_nothing_is_kept(
    site: WebSite, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.files["letters.labels.txt"] = b"a\nb\n"
    assert main(["models", "add", f"{site.address}/letters.tflite"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"edge-daemon: {site.address}/letters.labels.txt: 2 labels for a model of 4 classes; "
        "name the right file with --labels"
    )
    site.files["letters.tflite"] = b"no model"
    assert main(["models", "add", f"{site.address}/letters.tflite"]) == 1
    assert f"edge-daemon: {site.address}/letters.tflite: " in capsys.readouterr().err
    assert list(home.iterdir()) == []


def test_a_name_that_is_none_is_refused_before_the_download(
    site: WebSite, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", f"{site.address}/letters.tflite", "--name", "a/b"]) == 1
    assert "'a/b' can't name a model" in capsys.readouterr().err
    assert site.requests == []


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--range", "0..1"], "black..white: 0..1, given with --range"),
        ([], "black..white: 1..0, as usual for such a model; --range sets another"),
    ],
)
def test_the_range_of_the_original_is_shown_for_a_converted_model(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], shown: str
) -> None:
    assert main(["models", "add", str(shared_path("models/doodlenet/model.json")), *words]) == 0
    assert shown in capsys.readouterr().out.splitlines()


def test_a_model_that_a_browser_saved_under_another_name_is_converted(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shared_path("models/doodlenet"), tmp_path / "saved", copy_function=shutil.copyfile)
    saved = (tmp_path / "saved/model.json").rename(tmp_path / "saved/my-model.json")
    assert main(["models", "add", str(saved)]) == 0
    assert (home / "my-model.tflite").is_file()
    document = json.loads(saved.read_text())
    document["modelTopology"]["model_config"]["config"]["layers"] = []
    capsys.readouterr()
    saved.write_text(json.dumps(document))
    assert main(["models", "add", str(saved)]) == 1
    assert str(saved) in capsys.readouterr().err


def test_an_error_of_a_converted_model_names_its_model_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = {"class_name": "Flatten", "config": {"name": "f", "batch_input_shape": [None, 7, 7, 256]}}
    (tmp_path / "model.json").write_text(
        json.dumps(
            {
                "modelTopology": {"class_name": "Sequential", "config": {"name": "s", "layers": [head]}},
                "weightsManifest": [{"paths": [], "weights": []}],
            }
        )
    )
    assert main(["models", "add", str(tmp_path / "model.json"), "--range", "0..1"]) == 1
    assert capsys.readouterr().err.startswith(f"edge-daemon: {tmp_path}/model.json: a model with an input")


def test_pictures_for_8_bits_that_are_no_folder_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(shared_path("models/doodlenet/model.json"))
    (file := tmp_path / "picture.jpg").touch()
    for given, reason in ((file, "Not a directory"), (tmp_path / "none", "No such file or directory")):
        assert main(["models", "add", model, "--calibrate", str(given)]) == 1
        assert capsys.readouterr().err == f"edge-daemon: {given}: the pictures can't be read: {reason}\n"


def test_a_folder_that_can_not_be_written_is_named_before_a_conversion(
    tmp_path: Path, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGE_DAEMON_MODELS", str(small_disk.folder))
    (tmp_path / "model.json").write_text("{}")
    small_disk.remount("ro")
    assert main(["models", "add", str(tmp_path / "model.json"), "--name", "mine"]) == 1
    assert capsys.readouterr().err == (
        f"edge-daemon: {small_disk.folder}: can't be written: Read-only file system\n"
    )


def test_a_name_that_is_none_is_refused_before_a_conversion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.json").write_text("{}")
    assert main(["models", "add", str(tmp_path / "model.json"), "--name", "my model"]) == 1
    assert capsys.readouterr().err.startswith("edge-daemon: 'my model' can't name a model")


def test_a_full_disk_for_temporary_files_is_named_after_a_conversion(
    small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(small_disk.folder))
    small_disk.fill()
    assert main(["models", "add", str(shared_path("models/doodlenet/model.json"))]) == 1
    assert capsys.readouterr().err == (
        f"edge-daemon: {small_disk.folder}: can't be written: No space left on device\n"
    )
