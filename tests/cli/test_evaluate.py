"""`edge-daemon evaluate` with a real model and real pictures."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_daemon.cli.main import main
from edge_daemon.example_store.store import ExampleStore
from tests.harness.digit_pictures import draw_folders
from tests.harness.shared_files import shared_path
from tests.harness.thresholds import (
    DIGITS_PATCH,
    DIGITS_PATCH_3_SHOT,
    FAR_OOD_AUROC,
    FAR_OOD_FALSE_ACCEPTS,
    HANDS_3_SHOT_CENTROID,
    HANDS_5_SHOT_LINEAR,
)

MODEL = "models/mobilenet_v1_0.25_128_quant.tflite"


def few(root: Path, source: str, each: int, labels: int = 4) -> Path:
    """Link a few pictures of a data set into new label folders."""
    for folder in sorted(shared_path(source).iterdir())[:labels]:
        (root / folder.name).mkdir(parents=True)
        for picture in sorted(folder.iterdir())[:each]:
            (root / folder.name / picture.name).symlink_to(picture)
    return root


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["evaluate", "--json", "--model", str(shared_path(MODEL)), *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_row_for_each_classifier_and_shots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = few(tmp_path / "hands", "data/signdigits10", 12)
    rows = lines(capsys, str(folder), "--shots", "1,5", "--seeds", "2", "--classifiers", "knn,linear")
    assert [(row["classifier"], row["shots"]) for row in rows] == [
        ("knn", 1),
        ("linear", 1),
        ("knn", 5),
        ("linear", 5),
    ]
    for row in rows:
        assert row["interval"][0] <= row["accuracy"] <= row["interval"][1]
        reach = 12.71 * row["deviation"] / 2**0.5  # Student's t for two draws
        assert row["interval"][1] == pytest.approx(min(1, row["accuracy"] + reach))
        assert set(row["recalls"]) == {"0", "1", "2", "3"}
    assert rows[3]["accuracy"] > HANDS_5_SHOT_LINEAR.limit


def test_a_picture_that_can_not_be_read_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = few(tmp_path / "hands", "data/signdigits10", 4, labels=2)
    (folder / "0" / "0.jpg").write_text("no picture")
    (folder / ".thumbnails").mkdir()
    report = tmp_path / "page.html"
    (row,) = lines(
        capsys, str(folder), "--shots", "1", "--classifiers", "knn", "--seeds", "1", "--report", str(report)
    )
    assert set(row["recalls"]) == {"0", "1"}
    assert "0.jpg is not an image" in caplog.text
    assert report.exists()


def test_near_and_far_ood_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hands = few(tmp_path / "hands", "data/signdigits10", 12)
    waste = few(tmp_path / "waste", "data/trashnet6", 8)
    near, far = lines(capsys, str(hands), "--unknown", "--far", str(waste), "--shots", "8", "--seeds", "1")
    assert (near["unknown"], far["unknown"]) == ("near", "far")
    assert far["auroc"] > FAR_OOD_AUROC.limit > near["auroc"] > 0.5
    assert far["false_accepts_at_5pct_false_rejects"] < FAR_OOD_FALSE_ACCEPTS.limit


def test_leave_one_out_and_tuning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hands = few(tmp_path / "hands", "data/signdigits10", 12)
    rows = lines(capsys, str(hands), "--leave-one-out", "--tune", "--shots", "6", "--seeds", "2")
    assert [row.get("classifier") for row in rows] == ["knn", "centroid", "linear", "auto", None, None]
    assert abs(rows[1]["leave_one_out"] - rows[1]["held_out"]) < 0.3
    assert rows[3]["leave_one_out"] == rows[2]["leave_one_out"]
    assert sum(rows[4]["tuned"].values()) == rows[5]["draws"] == 2
    assert rows[4]["tuned"][rows[5]["best"]] == rows[5]["chosen"]


def test_tuning_ends_with_one_recommendation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hands = few(tmp_path / "hands", "data/signdigits10", 8)
    words = ["evaluate", str(hands), "--tune", "--shots", "2,4", "--seeds", "2"]
    assert main([*words, "--set", "classifier.type=centroid"]) == 0
    *draws, last = capsys.readouterr().out.splitlines()
    assert [line.partition("  shots ")[2][:1] for line in draws] == ["2", "4"]
    assert re.fullmatch(r"recommendation set classifier\.type=.*  draws 2  shots 4", last)
    settings = [word for word in last.partition("  best ")[0].split() if word.startswith("classifier.")]
    assert main([*words, *(word for each in settings for word in ("--set", each))]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"recommendation keep {settings[0]}")


class Page(HTMLParser):
    """Counts the tags of a page and collects the addresses it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.outside += [
            value for name, value in attrs if name in ("src", "href") and value and value[:5] != "data:"
        ]


def test_the_report_is_one_page_with_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hands = few(tmp_path / "<hands>", "data/signdigits10", 8)
    target = tmp_path / "report.html"
    lines(
        capsys,
        str(hands),
        "--shots",
        "2,4",
        "--seeds",
        "1",
        "--classifiers",
        "knn,linear",
        "--report",
        str(target),
    )
    page = Page()
    page.feed(target.read_text())
    assert page.outside == []
    assert page.tags["table"] == 2
    assert page.tags["tr"] == (1 + 4) + (1 + 4)
    assert page.tags["img"] == 32 + page.tags["figure"]
    assert page.tags["figure"] > 0
    assert page.tags["rect"] == 60


def test_without_a_folder_the_store_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hands = few(tmp_path / "hands", "data/signdigits10", 6)
    model = ["--set", f"model.name={shared_path(MODEL)}"]
    store = ["--set", f"store.path={tmp_path / 'examples.sqlite'}"]
    ExampleStore(tmp_path / "examples.sqlite").close()
    assert main(["evaluate", *model, *store, "--shots", "3"]) == 1
    assert "holds no examples for this model" in capsys.readouterr().err
    assert main(["examples", *model, *store, "import", str(hands)]) == 0
    capsys.readouterr()
    (row,) = lines(capsys, *store, "--shots", "3", "--seeds", "2", "--classifiers", "centroid")
    assert row["accuracy"] > HANDS_3_SHOT_CENTROID.limit
    assert sum(map(sum, row["confusion"])) == 2 * 4 * 3


def test_a_report_without_pictures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--report", str(tmp_path / "report.html")]) == 1
    assert "name the folder" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["k=1", "metric=manhattan", "vote=plain"])
def test_knn_is_measured_with_the_configured_k_metric_and_vote(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = few(tmp_path / "waste", "data/trashnet6", 30, labels=6)
    words = (str(folder), "--shots", "2", "--seeds", "1", "--classifiers", "knn")
    (default,), (chosen,) = lines(capsys, *words), lines(capsys, *words, "--set", f"classifier.{setting}")
    assert chosen["confusion"] != default["confusion"]


def test_a_report_shows_the_mistakes_of_the_configured_classifier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, target = few(tmp_path / "waste", "data/trashnet6", 11), tmp_path / "page.html"
    words = (str(folder), "--shots", "6", "--seeds", "1", "--classifiers", "knn", "--report", str(target))
    for setting in ("classifier.k=3", "classifier.k=1"):
        (row,) = lines(capsys, *words, "--set", setting)
        page = Page()
        page.feed(target.read_text())
        assert page.tags["figure"] == np.sum(row["confusion"]) - np.trace(row["confusion"]) > 0


def test_too_many_shots_are_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = few(tmp_path / "hands", "data/signdigits10", 12, labels=2)
    assert main(["evaluate", str(folder), "--model", str(shared_path(MODEL)), "--shots", "12"]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "at least 13 of each label are needed for 12 shots" in error


@pytest.mark.parametrize(
    ("pictures", "complaint"),
    [
        ({}, "holds no pictures in label folders"),
        ({"a": 0, "b": 0}, "holds no pictures in label folders"),
        ({"a": 3}, "at least two labels"),
        ({"a": 3, "b": 1}, "'b' has 1 picture; at least 2 of each label are needed for 1 shot"),
    ],
)
def test_a_folder_with_too_little_is_named_in_a_line(
    pictures: dict[str, int], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for label, count in pictures.items():
        (folder / label).mkdir()
        for number in range(count):
            noise = np.random.default_rng(number).integers(0, 255, (20, 20, 3), np.uint8)
            Image.fromarray(noise).save(folder / label / f"{number}.png")
    assert main(["evaluate", str(folder), "--model", str(shared_path(MODEL)), "--shots", "1"]) == 1
    assert complaint in capsys.readouterr().err.strip().splitlines()[-1]


def test_wrong_numbers_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "--shots", "many"])
    assert caught.value.code == 2
    assert "expected numbers" in capsys.readouterr().err


def test_patch_features_are_recommended_for_small_digits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = draw_folders(tmp_path / "digits", 5)
    here = ["--set", f"model.name={shared_path(MODEL)}", "--set", f"store.path={tmp_path / 'e.sqlite'}"]
    assert main(["examples", *here, "import", str(digits)]) == 0
    capsys.readouterr()
    model, patch, recommended = lines(capsys, *here, "--features", "patch")
    assert (model["features"], patch["features"]) == ("embedding", "patch")
    assert patch["accuracy"] > DIGITS_PATCH.limit > model["accuracy"]
    assert recommended["best"] == "patch"
    assert "set model.features to patch" in recommended["recommendation"]
    there = [*here, "--set", "model.features=patch"]
    assert main(["examples", *there, "reembed"]) == 0
    capsys.readouterr()
    (row,) = lines(capsys, *there, "--shots", "3", "--seeds", "2", "--classifiers", "auto")
    assert row["accuracy"] > DIGITS_PATCH_3_SHOT.limit


def test_the_model_is_kept_for_whole_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waste = few(tmp_path / "waste", "data/trashnet6", 10, labels=3)
    *_, recommended = lines(capsys, str(waste), "--features", "embedding,patch")
    assert recommended == {"recommendation": "keep model.features embedding", "best": "embedding"}


def test_features_can_not_be_compared_on_one_picture_a_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waste = few(tmp_path / "waste", "data/trashnet6", 1, labels=3)
    assert main(["evaluate", str(waste), "--model", str(shared_path(MODEL)), "--features", "patch"]) == 1
    assert "two labels with two examples each" in capsys.readouterr().err


def test_the_report_holds_what_could_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hands = few(tmp_path / "hands", "data/signdigits10", 8)
    target = tmp_path / "report.html"
    words = [str(hands), "--seeds", "1", "--classifiers", "knn", "--report", str(target)]
    rows = lines(capsys, *words, "--shots", "2,5,20")
    assert [row["shots"] for row in rows] == [2, 5]
    text = target.read_text()
    assert f"Folder {hands}, model {MODEL.rpartition('/')[2].removesuffix('.tflite')}" in text
    assert f"{datetime.now().astimezone():%Y-%m-%d}" in text
    assert "shots left out: " not in text
    lines(capsys, str(hands), "--seeds", "1", "--shots", "2", "--unknown", "--report", str(target))
    assert "unknown near" in target.read_text()


@pytest.mark.parametrize(
    ("each", "shots", "said"),
    [
        (5, [4], "5, 10, 20 shots left out: '0' has 5 pictures; 4 shots instead"),
        (7, [5], "10, 20 shots left out: '0' has 7 pictures"),
        (3, [2], "5, 10, 20 shots left out: '0' has 3 pictures; 2 shots instead"),
    ],
)
@pytest.mark.parametrize("measurement", ["--leave-one-out", "--tune"])
def test_a_measurement_on_the_taught_pictures_takes_at_least_two_of_each(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    measurement: str,
    each: int,
    shots: list[int],
    said: str,
) -> None:
    folder = few(tmp_path / "hands", "data/signdigits10", each, labels=2)
    model = ["--model", str(shared_path(MODEL))]
    assert main(["evaluate", "--json", *model, str(folder), measurement, "--seeds", "1"]) == 0
    captured = capsys.readouterr()
    assert {json.loads(line)["shots"] for line in captured.out.splitlines()} == set(shots)
    assert said in captured.err


@pytest.mark.parametrize(
    ("each", "words", "said"),
    [
        (2, [], "'0' has 2 pictures; at least 3 of each label are needed for 2 shots"),
        (5, ["--shots", "1"], "--leave-one-out needs at least 2 shots"),
    ],
)
def test_too_few_pictures_to_leave_one_out_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], each: int, words: list[str], said: str
) -> None:
    folder = few(tmp_path / "hands", "data/signdigits10", each, labels=2)
    model = ["--model", str(shared_path(MODEL))]
    assert main(["evaluate", *model, str(folder), "--leave-one-out", *words]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err.splitlines()[-1]


def test_a_report_replaces_an_earlier_report_and_no_other_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = few(tmp_path / "hands", "data/signdigits10", 3, labels=2)
    words = [str(folder), "--shots", "1", "--seeds", "1", "--classifiers", "knn", "--report"]
    for _ in range(2):
        lines(capsys, *words, str(tmp_path / "page.html"))
    (tmp_path / "notes.html").write_text("mine")
    model = ["--model", str(shared_path(MODEL))]
    assert main(["evaluate", *model, *words, str(tmp_path / "notes.html")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "notes.html exists already" in captured.err
    assert (tmp_path / "notes.html").read_text() == "mine"


def test_shots_that_are_left_out_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hands = few(tmp_path / "hands", "data/signdigits10", 8)
    words = [str(hands), "--model", str(shared_path(MODEL)), "--seeds", "1", "--classifiers", "knn"]
    assert main(["evaluate", *words, "--shots", "2,20"]) == 0
    assert "20 shots left out: '" in capsys.readouterr().err
