"""`edge-daemon models`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge_daemon.cli import models
from edge_daemon.cli.main import main
from edge_daemon.cli.model_report import describe_labels
from edge_daemon.config import paths
from edge_daemon.models import registry
from edge_daemon.models.registry import DEFAULT_MODEL
from tests.harness import tiny_models as tiny
from tests.harness.model_user import weaken_shipped_model
from tests.harness.shared_files import shared_path

LIGHT = "mobilenet_v1_0.25_128_quant"
BEST = "tf2_mobilenet_v2_1.0_224_ptq"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty model folder, which the environment names."""
    monkeypatch.setenv("EDGE_DAEMON_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(paths, "SERVICE_STATE", tmp_path / "service")
    return tmp_path / "models"


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {str(line["name"]): line for line in lines}


def test_the_list_tells_what_is_here_used_and_recommended(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir()
    (home / "mine.tflite").write_bytes(tiny.float_classifier())
    assert main(["models", "list", "--json", "--set", "model.name=mine"]) == 0
    listed = rows(capsys)
    assert listed["mine"]["used"] is True
    assert listed["mine"]["path"] == str(home / "mine.tflite")
    assert listed[LIGHT]["path"] is None
    assert listed[LIGHT]["used"] is False
    assert "lightest" in str(listed[LIGHT]["recommended_for"])
    assert "public address" in str(listed[BEST]["recommended_for"])


def test_the_list_as_a_table(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--set", f"model.name={LIGHT}"]) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if LIGHT in line)
    assert line.startswith(f"* {LIGHT}")
    assert " no " in line
    assert "0.5 MB" in line
    assert all(len(line) <= 140 for line in out.splitlines())


def test_pull_from_a_folder_then_inspect(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(shared_path("models"))
    assert main(["models", "pull", LIGHT, "--from", source, "--json"]) == 0
    pulled = json.loads(capsys.readouterr().out)
    assert pulled == {"name": LIGHT, "path": str(home / f"{LIGHT}.tflite"), "bytes": 525598}
    assert main(["models", "inspect", LIGHT, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["features"]["embedding"]["size"] == 256
    assert report["labels"].startswith("1001: background;")
    assert report["problem"] is None
    assert main(["models", "inspect", LIGHT]) == 0
    assert "256 numbers: the AVERAGE_POOL_2D before the classifier" in capsys.readouterr().out


def test_inspect_shows_accuracy_cost_licence_and_origin(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = registry.find_manifest(DEFAULT_MODEL)
    assert manifest.provenance is not None
    assert main(["models", "inspect", DEFAULT_MODEL]) == 0
    report = capsys.readouterr().out
    for name, by_kind in manifest.few_shot.items():
        assert re.search(rf"linear {by_kind['linear']['10']:.0f} %.* \({name}, 10 examples\)", report)
    assert f"cost          {manifest.relative_cost:g} times" in report
    assert f"licence       {manifest.licence}" in report
    assert f"author        {manifest.provenance.author}" in report
    for limit in manifest.provenance.limits:
        assert f"limit         {limit}" in report


def test_names_of_a_foreign_model_control_no_terminal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir()
    (home / "mine\x1b[31m.tflite").write_bytes(tiny.float_classifier())
    (home / "mine\x1b[31m.labels.txt").write_text("".join(f"label {number}\x1b[2J\n" for number in range(4)))
    assert main(["models", "list"]) == 0
    assert r"mine\x1b[31m" in capsys.readouterr().out
    assert main(["models", "inspect", "mine\x1b[31m"]) == 0
    shown = capsys.readouterr().out
    assert r"label 0\x1b[2J" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("labels", "text"), [(["cat", "dog"], "2: cat; dog"), (["a", "b", "c", "d"], "4: a; b; c; …")]
)
def test_only_labels_that_are_not_shown_are_hinted_at(labels: list[str], text: str) -> None:
    assert describe_labels(labels) == text


def test_another_file_of_a_known_name_has_no_origin(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir()
    (home / f"{LIGHT}.tflite").write_bytes(tiny.float_classifier())
    assert main(["models", "inspect", LIGHT, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["manifest"], found["better_here"]) == (None, None)


def test_what_is_better_on_this_board_is_marked(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weaken_shipped_model(monkeypatch)
    monkeypatch.setattr(models, "measure_shipped_ms", lambda seconds: 0.5)
    assert main(["models", "list", "--json"]) == 0
    marked = [row for row in rows(capsys).values() if row["recommended_here"]]
    assert len(marked) == 1
    assert main(["models", "list"]) == 0
    line = next(each for each in capsys.readouterr().out.splitlines() if "recommended for this board" in each)
    assert str(marked[0]["name"]) in line


def test_pull_of_an_unknown_name_exits_1_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "mobilenet_v1_0.25_128"]) == 1
    assert capsys.readouterr().err == (
        f"edge-daemon: no model 'mobilenet_v1_0.25_128' is known (did you mean '{LIGHT}'?); "
        "see `edge-daemon models list`\n"
    )


def test_inspect_of_a_detector_tells_what_it_is_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 300, 300, 3), tiny.TYPE.UINT8)
    results = [recipe.tensor((1, 10, 4)), recipe.tensor((1, 10)), recipe.tensor((1, 10)), recipe.tensor((1,))]
    recipe.step(tiny.BUILTIN.CUSTOM, [picture], results[0], custom="TFLite_Detection_PostProcess")
    path = tmp_path / "ssd.tflite"
    path.write_bytes(recipe.content([picture], results))
    assert main(["models", "inspect", str(path)]) == 1
    captured = capsys.readouterr()
    assert "1 TFLite_Detection_PostProcess" in captured.out
    assert captured.err.startswith(f"edge-daemon: {path}: an object detector")
    assert captured.err.count("\n") == 1


def test_add_puts_a_model_into_the_model_folder(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(tiny.float_classifier())
    (folder / "labels.txt").write_text("0 a\n1 b\n2 c\n3 d\n")
    assert main(["models", "add", str(folder), "--name", "letters", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "letters",
        "path": str(home / "letters.tflite"),
        "labels": ["a", "b", "c", "d"],
        "embedding_size": 3,
        "input_range": "-1..1, from a trial on pictures",
    }
    assert main(["models", "list", "--json"]) == 0
    assert rows(capsys)["letters"]["path"] == str(home / "letters.tflite")


def test_add_of_nothing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "add", str(tmp_path / "absent.zip")]) == 1
    assert capsys.readouterr().err == f"edge-daemon: {tmp_path}/absent.zip: no such file or folder\n"


def test_a_range_and_labels_are_taken_with_the_model_and_used(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, labels = tmp_path / "m.tflite", tmp_path / "names"
    model.write_bytes(tiny.float_classifier())
    labels.write_text("a\nb\nc\nd\n")
    assert main(["models", "add", str(model), "--range", "-1..1", "--labels", str(labels)]) == 0
    report = capsys.readouterr().out
    assert "4 classes, an embedding of 3 numbers" in report
    assert "black..white: -1..1, " in report
    assert main(["models", "add", str(model), "--range", "1..0"]) == 0
    assert main(["models", "inspect", "m"]) == 0
    report = capsys.readouterr().out
    assert "black..white  1..0, from its manifest m.json" in report
    assert "4: a; b; c" in report


def test_what_is_no_range_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models", "add", str(tmp_path / "m.tflite"), "--range", "wide"])
    assert ended.value.code == 2
    assert "'wide' is no input range" in capsys.readouterr().err
