"""`edge-daemon evaluate`: no option is ignored, and one picture without an embedding ends nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_daemon.cli.main import main
from tests.harness.shared_files import shared_path

MODEL = "models/mobilenet_v1_0.25_128_quant.tflite"
QUICK = ("--shots", "2", "--seeds", "1", "--classifiers", "knn")
PATCH = ("--set", "model.features=patch")


def evaluate(*words: object) -> int:
    return main(["evaluate", "--json", "--model", str(shared_path(MODEL)), *map(str, words)])


def rows(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    assert evaluate(*words) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def draw(root: Path, labels: str) -> Path:
    """Draw three noisy pictures of each label."""
    for place, label in enumerate(labels):
        (root / label).mkdir(parents=True)
        for number in range(3):
            noise = np.random.default_rng([place, number]).integers(0, 255, (20, 20, 3), np.uint8)
            Image.fromarray(noise).save(root / label / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--far", "OTHER"], "--far needs --unknown or --sessions"),
        (
            ["--features", "patch", "--far", "OTHER", "--unknown"],
            "--unknown can't be combined with --features",
        ),
        (["--features", "patch", "--tune"], "--tune can't be combined with --features"),
        (["--features", "patch", "--leave-one-out"], "--leave-one-out can't be combined with --features"),
        (["--features", "patch", "--report", "page.html"], "--report can't be combined with --features"),
        (["--features", "patch", "--shots", "2"], "--shots can't be combined with --features"),
        (["--features", "patch", "--classifiers", "knn"], "--classifiers can't be combined with --features"),
        (["--unknown", "--classifiers", "knn"], "--unknown can't be combined with --classifiers"),
        (["--tune", "--classifiers", "knn"], "--tune can't be combined with --classifiers"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(
    words: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, *words) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert complaint in captured.err


def test_no_draws_are_a_wrong_argument(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        evaluate(tmp_path, "--seeds", "0")
    assert exit_.value.code == 2
    assert "--seeds: '0' is no whole number of at least 1" in capsys.readouterr().err


def test_unknown_of_two_labels_needs_pictures_of_other_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, far = draw(tmp_path / "set", "ab"), draw(tmp_path / "far", "c")
    assert evaluate(folder, "--unknown", "--shots", "2", "--seeds", "1") == 1
    assert "--unknown holds out each label in turn, which needs three labels" in capsys.readouterr().err
    (row,) = rows(capsys, folder, "--unknown", "--far", far, "--shots", "2", "--seeds", "1")
    assert row["unknown"] == "far"


def test_a_report_in_the_place_of_a_folder_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, *QUICK, "--report", tmp_path) == 1
    assert f"{tmp_path} exists already" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["set", "far", "sessions"])
def test_a_picture_without_an_embedding_is_left_out(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Patch features can't compare pictures of one grey."""
    names = ("sessions/1", "sessions/2") if where == "sessions" else ("set", "far")
    first, second = (draw(tmp_path / name, "abc") for name in names)
    folder = first.parent if where == "sessions" else first
    black = (second if where == "far" else first) / "a" / "black.png"
    Image.new("RGB", (20, 20)).save(black)
    words = {
        "set": QUICK,
        "far": (*QUICK[:4], "--unknown", "--far", second),
        "sessions": ("--sessions", *QUICK),
    }
    assert rows(capsys, folder, *words[where], *PATCH)
    assert f"{black}: the region is of one grey" in caplog.text
    assert caplog.text.count("left out") == 1


def test_compared_features_name_the_picture_that_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = draw(tmp_path / "set", "ab")
    Image.new("RGB", (20, 20)).save(folder / "a" / "black.png")
    assert rows(capsys, folder, "--features", "patch")[0]["count"] == 6
    assert f"{folder / 'a' / 'black.png'}: the region is of one grey" in caplog.text


def test_scene_pictures_of_several_sizes_name_their_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for session in ("1", "2"):
        draw(tmp_path / session, "ab")
        (tmp_path / session / "_scene").mkdir()
        for number in range(4):
            side = 40 + number
            Image.effect_noise((side, side), 40).convert("RGB").save(
                tmp_path / session / "_scene" / f"{number}.png"
            )
    assert evaluate(tmp_path, "--sessions", *QUICK) == 1
    assert f"{tmp_path / '1' / '_scene'}: its pictures differ in size" in capsys.readouterr().err


def test_a_folder_that_is_no_label_is_left_out_without_an_option_of_another_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    draw(tmp_path, "ab")
    (tmp_path / "a").rename(tmp_path / "unknown")
    draw(tmp_path, "acd")
    rows(capsys, tmp_path, *QUICK)
    assert "label 'unknown' is reserved" in caplog.text
    assert "left out" in caplog.text
    assert "--rename" not in caplog.text
