"""`edge-daemon evaluate --classifiers pretrained` with a real model and real photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_daemon.cli.main import main
from tests.harness.shared_files import shared_path

MODEL = "models/mobilenet_v2_1.0_224_quant.tflite"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return label folders: two that are classes of ImageNet, one that is none."""
    root = tmp_path / "photos"
    for folder, photo in (("Egyptian_cat", "cat"), ("hot dog", "hot_dog"), ("sunflower", "sunflower")):
        (root / folder).mkdir(parents=True)
        (root / folder / "1.jpg").symlink_to(shared_path(f"images/{photo}.jpg"))
    (root / "hot dog" / "2.jpg").symlink_to(shared_path("images/bird.jpg"))
    return root


def measure(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["evaluate", "--json", "--model", str(shared_path(MODEL)), *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("way", [["--classifiers", "pretrained"], ["--set", "classifier.type=pretrained"]])
def test_top_1_and_top_5_by_folder_and_in_all(
    photos: Path, capsys: pytest.CaptureFixture[str], way: list[str]
) -> None:
    cats, dogs, total = measure(capsys, str(photos), *way)
    assert (cats["folder"], cats["labels"], cats["top1"]) == ("Egyptian_cat", ["Egyptian cat"], 1.0)
    assert cats["class_ids"] == [286]
    assert (dogs["pictures"], dogs["top1"], dogs["top5"]) == (2, 0.5, 0.5)
    assert (
        "bunting" in dogs["confused_with"]
        or "chickadee" in dogs["confused_with"]
        or "junco" in dogs["confused_with"]
    )
    assert (total["classifier"], total["pictures"], total["folders"]) == ("pretrained", 3, 2)
    assert total["top1"] == pytest.approx(2 / 3)
    assert total["top5"] == pytest.approx(2 / 3)
    assert total["unmatched"] == {"sunflower": 1}


def test_a_folder_that_matches_no_class_is_one_line(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "Egyptian_cat").rename(photos / "Egyptian_cats")
    assert (
        main(["evaluate", "--model", str(shared_path(MODEL)), str(photos), "--classifiers", "pretrained"])
        == 0
    )
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "edge-daemon: 'Egyptian_cats' is none of the model's 1001 classes (did you mean 'Egyptian cat'?); "
        "1 picture left out",
        "edge-daemon: 'sunflower' is none of the model's 1001 classes; 1 picture left out",
    ]
    assert captured.out.splitlines()[-1].startswith(
        "all folders  top-1 0.500  top-5 0.500  2 pictures  interval"
    )


def test_the_report_has_the_figures_and_the_mistakes(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    measure(capsys, str(photos), "--classifiers", "pretrained", "--report", str(page))
    text = page.read_text()
    assert "Top-1 66.7 %" in text
    assert "top-5 66.7 %" in text
    assert "<td>hot dog<td>hotdog, hot dog, red hot<td>2<td>50 %<td>50 %" in text
    assert "&#x27;sunflower&#x27; is none of the model" in text
    assert text.count("<figure>") == 1


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--unknown"], "--unknown can't be combined"),
        (["--sessions"], "can't be combined|--sessions measures"),
        (["--report", "/absent/page.html"], "can't write /absent/page.html: there is no folder /absent"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    photos: Path, capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    model = ["--model", str(shared_path(MODEL))]
    assert main(["evaluate", str(photos), *model, "--classifiers", "pretrained", *words]) == 1
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "left out" not in text]
    assert any(each in line for each in part.split("|"))


def test_without_pictures_or_matches_it_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", str(shared_path(MODEL)), "--classifiers", "pretrained"]
    assert main(["evaluate", *model]) == 1
    assert "name a folder of label folders" in capsys.readouterr().err
    (tmp_path / "gizmo").mkdir()
    (tmp_path / "gizmo" / "1.jpg").symlink_to(shared_path("images/cat.jpg"))
    assert main(["evaluate", str(tmp_path), *model]) == 1
    assert "has the name of one of the model's 1001 classes" in capsys.readouterr().err
    extractor = str(shared_path("models/mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"))
    assert main(["evaluate", str(tmp_path), "--model", extractor, "--classifiers", "pretrained"]) == 1
    assert "classes" in capsys.readouterr().err
