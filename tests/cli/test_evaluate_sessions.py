"""`edge-daemon evaluate --sessions` with a real model, rendered sessions and photographed ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edge_daemon.cli.main import main
from edge_daemon.imaging.image_io import read_image
from tests.cli.test_evaluate import Page
from tests.harness.session_folders import draw_sessions
from tests.harness.shared_files import shared_path
from tests.harness.thresholds import SAME_SESSION_FIRST, SAME_SESSION_NAMED, SESSIONS_FAR_UNKNOWN

MODEL = "models/mobilenet_v1_0.25_128_quant.tflite"
LABELS = ["gear", "key", "leaf", "mug"]
KEYS = ["classifier", "shots", "where", "count", "first", "named", "unknown"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_sessions(tmp_path_factory.mktemp("sessions"), 3, LABELS, 9, scene_frames=6)


def evaluate(*words: object) -> int:
    return main(["evaluate", "--sessions", "--model", str(shared_path(MODEL)), *map(str, words)])


def rows(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    assert evaluate("--json", *words) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_row_for_each_classifier_shots_and_kind_of_query(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (far / "waste").symlink_to(next(shared_path("data/trashnet6").iterdir()))
    found = rows(capsys, folder, "--shots", "2,5", "--classifiers", "knn,auto", "--seeds", "1", "--far", far)
    kinds = ["same", "across", "scene", "strangers_same", "strangers_across", "far"]
    assert [(row["classifier"], row["shots"], row["where"]) for row in found] == [
        (classifier, shots, where) for shots in (2, 5) for classifier in ("knn", "auto") for where in kinds
    ]
    same, across, scene, held_out, *_ = found[-6:]
    assert [row["count"] for row in found[-6:-1]] == [3 * 4 * 4, 6 * 36, 9 * 3, 3 * 36, 6 * 36]
    assert list(same) == list(across) == [*KEYS, "calibration_error"]
    assert list(scene) == list(held_out) == KEYS
    assert scene["first"] is held_out["first"] is None
    assert same["first"] > SAME_SESSION_FIRST.limit
    assert same["named"] > SAME_SESSION_NAMED.limit
    assert found[-1]["unknown"] > SESSIONS_FAR_UNKNOWN.limit
    for row in found:
        assert 0 <= row["named"] <= 1 - row["unknown"] + 1e-9


@pytest.mark.parametrize(
    ("teach", "same", "across"),
    [
        ("one", 3 * 4 * 4, 3 * 4 * 2 * 9),
        ("each", 3 * 4 * 4, 3 * 4 * 2 * 9),
        ("1", 4 * 4, 4 * 2 * 9),
        ("2", 2 * 4 * 4, 4 * 9),
    ],
)
def test_each_way_of_teaching_has_its_own_queries(
    teach: str, same: int, across: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [folder, "--shots", "5", "--classifiers", "knn", "--seeds", "1", "--teach", teach]
    counts = {row["where"]: row["count"] for row in rows(capsys, *words)}
    assert (counts["same"], counts["across"]) == (same, across)


def test_figures_on_playing_cards_of_three_shoots(capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared_path("data/sessions/cards6")
    words = [folder, "--shots", "10", "--classifiers", "knn", "--seeds", "2", "--model", "edge_embedder_v1"]
    found = {row["where"]: row for row in rows(capsys, *words)}
    assert found["same"]["first"] == pytest.approx(0.40, abs=0.05)
    assert found["across"]["first"] == pytest.approx(0.46, abs=0.05)
    assert found["across"]["named"] > 0.28


def test_the_same_seeds_give_the_same_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [folder, "--shots", "3", "--classifiers", "linear", "--seeds", "1"]
    assert rows(capsys, *words) == rows(capsys, *words)


def test_each_picture_is_embedded_once(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_daemon.tflite.embedder import TfliteEmbedder

    embed = TfliteEmbedder.embed
    counts: Counter[bytes] = Counter()

    def counted(self: TfliteEmbedder, image: Any) -> Any:
        counts[image.tobytes()] += 1
        return embed(self, image)

    monkeypatch.setattr(TfliteEmbedder, "embed", counted)
    rows(capsys, folder, "--shots", "2,3", "--classifiers", "knn,centroid", "--seeds", "2")
    files = [read_image(path).tobytes() for path in folder.rglob("*.png")]
    assert [counts[each] for each in files] == [1] * (3 * (4 * 9 + 6))
    # Objects and their copies are embedded once as well; two of them may be equal by chance.
    assert counts.total() <= 1.02 * len(counts)


def test_frames_of_the_scene_are_used_unless_it_is_off(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_daemon.evaluation.scene_recognizer import ObjectEmbeddings

    embedded: list[object] = []
    view = ObjectEmbeddings.view

    def watched(self: ObjectEmbeddings, *arguments: Any) -> Any:
        embedded.append(arguments)
        return view(self, *arguments)

    monkeypatch.setattr(ObjectEmbeddings, "view", watched)
    words = [folder, "--shots", "3", "--classifiers", "knn", "--seeds", "1"]
    off = rows(capsys, *words, "--set", "scene=off")
    assert not embedded
    assert {row["where"] for row in off} == {row["where"] for row in rows(capsys, *words)}
    assert embedded


def test_the_report_has_a_table_a_chart_and_reliability_diagrams(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report.html"
    words = [folder, "--shots", "3,20", "--classifiers", "knn,centroid", "--seeds", "1", "--report", target]
    found = rows(capsys, *words)
    page = Page()
    page.feed(target.read_text())
    assert page.outside == []
    assert page.tags["tr"] == 1 + len(found)
    assert page.tags["rect"] == 2 * 4
    assert page.tags["figure"] == 2
    assert page.tags["circle"] >= 4
    assert "20 shots left out" in target.read_text()
    across = next(row for row in found if row["where"] == "across")
    assert (
        f"<td>{across['count']}<td>{100 * across['first']:.1f} %<td>{100 * across['named']:.1f} %"
        in target.read_text()
    )


def test_missing_rows_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = draw_sessions(tmp_path, 3, LABELS[:2], 4, scene_frames=1)
    for session, count in (("s1", 0), ("s2", 2)):
        for number in range(count, 4):
            (folder / session / "gear" / f"{number}.png").unlink()
    assert evaluate(folder, "--shots", "2,3,4", "--classifiers", "knn", "--seeds", "1") == 0
    out, err = capsys.readouterr()
    assert [line.split()[5] for line in out.splitlines()] == ["same", "across"] * 2
    said = [line for line in err.splitlines() if line.startswith("edge-daemon: ")]
    assert [line.removeprefix("edge-daemon: ").split(":")[0].split("; it has")[0] for line in said] == [
        "2 shots",
        "2 shots",
        "3 shots",
        "3 shots",
        "4 shots left out",
        "no rows for held-out classes",
        "no row for scene",
    ]
    assert "session 's1' does not teach; it has 0 of 'gear'" in err
    assert "session 's2' does not teach; it has 2 of 'gear'" in err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--shots", "9"], "9 shots left out: 1 session with more than 9 pictures of most classes would be"),
        (["--shots", "9", "--teach", "each"], "two classes need more than 9 pictures in a session"),
        (["--teach", "3"], "--teach 3 leaves no session to ask in, of 3 sessions"),
        (["--classifiers", "discriminant"], "--sessions measures knn, centroid, linear, auto; got"),
        (["--tune"], "--tune can't be combined with --sessions"),
        (["--leave-one-out"], "--leave-one-out can't be combined with --sessions"),
        (["--far", "/nowhere"], "folder '/nowhere' can't be read"),
    ],
)
def test_what_can_not_be_measured_is_one_line(
    words: list[str], complaint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(folder, *words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert len(err.splitlines()) == 1


def test_sessions_need_a_folder_and_teach_needs_sessions(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate() == 1
    assert "--sessions needs a folder" in capsys.readouterr().err
    assert main(["evaluate", str(folder), "--teach", "each"]) == 1
    assert "--teach needs --sessions" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        evaluate(folder, "--teach", "some")
    assert caught.value.code == 2
    assert "expected one, each or a number of sessions" in capsys.readouterr().err


def test_a_report_that_can_not_be_written_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "missing" / "report.html"
    words = [folder, "--shots", "2", "--classifiers", "knn", "--seeds", "1", "--report", target]
    assert evaluate(*words) == 1
    captured = capsys.readouterr()
    assert captured.out == "", "it is found before the work"
    assert f"can't write {target}: there is no folder {target.parent}" in captured.err
