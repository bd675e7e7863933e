"""The model of a configuration without `model.name`, by stores that real models have filled."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from edge_daemon.app.model_factory import build_embedder, configured_model, resolve_features
from edge_daemon.config.schema import Config, load_config
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg, read_image
from edge_daemon.models.registry import DEFAULT_MODEL, find_model
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.as_nobody import in_child_as_nobody
from tests.harness.open_folders import open_to_others
from tests.harness.shared_files import shared_path
from tests.harness.small_disk import SmallDisk

FORMER = "edge_embedder_v1"


def teach(path: Path, model: str, count: int = 1) -> None:
    embedder = TfliteEmbedder(find_model(model))
    picture = read_image(shared_path("images/cat.jpg"))
    with ExampleStore(path) as store:
        for number in range(count):
            region = f"region {number}"
            store.add(
                embedder.embed(picture),
                "cat",
                space=embedder.space,
                region=region,
                thumbnail=encode_jpeg(picture, 224),
            )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "examples.sqlite"


def config(path: Path, *settings: str) -> Config:
    return load_config(None, ["camera.type=synthetic", f"store.path={path}", *settings])


def test_a_taught_store_keeps_its_model_and_one_line_names_the_better_one(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    teach(path, FORMER)
    with caplog.at_level(logging.WARNING):
        resolved = resolve_features(config(path))
    assert resolved.model.name == FORMER
    with ExampleStore(path) as store:
        assert build_embedder(resolved).space in store.spaces()
    (line,) = caplog.messages
    assert line.startswith(f"the stored examples are of {FORMER}")
    assert f"`edge-daemon models use {DEFAULT_MODEL}`" in line


def test_a_resolved_configuration_logs_nothing_more(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    teach(path, FORMER)
    resolved = resolve_features(config(path))
    caplog.clear()
    assert resolve_features(resolved) == resolved
    assert not caplog.messages


def test_a_new_store_gets_the_default_and_is_not_made(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert configured_model(config(path)) == DEFAULT_MODEL
    assert resolve_features(config(path)).model.name == DEFAULT_MODEL
    assert not path.exists()
    with ExampleStore(path):
        assert configured_model(config(path)) == DEFAULT_MODEL
    assert not caplog.messages


def test_a_configured_name_counts(path: Path) -> None:
    teach(path, FORMER)
    assert configured_model(config(path, f"model.name={DEFAULT_MODEL}")) == DEFAULT_MODEL


def test_most_examples_decide_and_the_default_among_equals(path: Path) -> None:
    teach(path, FORMER)
    teach(path, DEFAULT_MODEL)
    assert configured_model(config(path)) == DEFAULT_MODEL
    teach(path, FORMER, 2)
    assert configured_model(config(path)) == FORMER


def test_removed_examples_do_not_count(path: Path) -> None:
    teach(path, FORMER)
    with ExampleStore(path) as store:
        store.clear()
    assert configured_model(config(path)) == DEFAULT_MODEL


def test_examples_of_another_file_with_that_name_do_not_count(path: Path) -> None:
    teach(path, FORMER)
    with ExampleStore(path) as store:
        (example,) = store.examples()
        store.clear()
        other = example.space.replace(FORMER, f"{FORMER}-00000000")
        store.add(example.embedding, "cat", space=other, thumbnail=example.thumbnail)
    assert configured_model(config(path)) == DEFAULT_MODEL


def test_a_file_that_is_no_store_is_left_to_the_command_that_opens_it(path: Path) -> None:
    path.write_bytes(b"no database" * 100)
    assert configured_model(config(path)) == DEFAULT_MODEL
    assert path.read_bytes() == b"no database" * 100


def test_no_journal_is_left_beside_the_store(path: Path) -> None:
    teach(path, FORMER)
    assert configured_model(config(path)) == FORMER
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_store_that_this_user_may_only_read_keeps_its_model(path: Path) -> None:
    open_to_others(path.parent)
    teach(path, FORMER)
    path.parent.chmod(0o555)

    def read() -> None:
        assert configured_model(config(path)) == FORMER

    in_child_as_nobody(read)
    path.parent.chmod(0o755)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_store_on_a_read_only_disk_keeps_its_model(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "examples.sqlite"
    teach(path, FORMER)
    small_disk.remount("ro")
    assert configured_model(config(path)) == FORMER


def test_an_open_store_keeps_its_locks(path: Path) -> None:
    teach(path, FORMER)
    with ExampleStore(path) as store:
        assert configured_model(config(path)) == FORMER
        imports = "from pathlib import Path; from edge_daemon.example_store.store import ExampleStore"
        command = f"{imports}; ExampleStore(Path({str(path)!r})).close()"
        subprocess.run([sys.executable, "-c", command], check=True)
        store.clear()
    assert configured_model(config(path)) == DEFAULT_MODEL
