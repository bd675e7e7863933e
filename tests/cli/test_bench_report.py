"""The parts of `edge-daemon bench` that can be told from made-up figures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from edge_daemon.benchmark.end_to_end import FrameAges, Throughput
from edge_daemon.benchmark.label_latency import PressTimes
from edge_daemon.benchmark.listener import ReceivedLabel, read_notes
from edge_daemon.benchmark.report import BenchmarkReport
from edge_daemon.benchmark.sources import LEAD_IN, Camera, Replay
from edge_daemon.benchmark.stages import BARE, WHOLE
from edge_daemon.benchmark.startup import Start
from edge_daemon.benchmark.statistics import Percentiles, embeddings, percentiles, pictures
from edge_daemon.domain.errors import EdgeError
from edge_daemon.system.clock import SystemClock

TWO = Percentiles(2.0, 3.0, 4.0)


def report(ages: FrameAges | None = None) -> BenchmarkReport:
    return BenchmarkReport(
        model="some model",
        examples=10,
        frames=20,
        size=(640, 480),
        broker=ages is not None,
        stages={BARE: Percentiles(1.0, 1.1, 1.2), "crop and resize": TWO, WHOLE: TWO},
        throughput=Throughput(frame_ms=2.5, frame_cpu_ms=3.0, bare_ms=2.0, bare_cpu_ms=2.0),
        presses=PressTimes(TWO, TWO, TWO),
        start=Start(daemon_ms=300, bare_ms=200, rss_mb=60.04, peak_mb=70),
        ages=ages,
    )


def test_every_figure_stands_beside_its_bare_counterpart() -> None:
    figures = report().as_json()
    assert figures["ratio_to_bare"] == 2.0
    assert figures["daemon"]["ratio"] == 1.25
    assert figures["daemon"]["cpu_ratio"] == 1.5
    assert figures["start_ratio"] == 1.5
    assert figures["captured_to_label_ms"] is None
    assert json.loads(json.dumps(figures)) == figures


def test_the_table_tells_of_the_broker_only_when_there_was_one() -> None:
    assert "captured to received" in report(FrameAges(TWO, TWO, 9)).table()
    alone = report().table()
    assert "captured to received" not in alone
    assert "without a broker" in alone


def test_rows_of_a_csv_file_share_one_heading(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    report(FrameAges(TWO, TWO, 9)).append_to(path)
    report(FrameAges(TWO, TWO, 9)).append_to(path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert rows[0]["model"] == "some model"
    assert rows[0]["commit"]
    assert rows[0]["machine"]
    assert rows[0]["crop_and_resize_ms"] == "2.0"
    assert rows[0]["daemon_cpu_ratio"] == "1.5"
    assert rows[0]["captured_to_received_p99_ms"] == "4.0"


def test_a_csv_file_that_cant_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(EdgeError, match=r"no-folder/board\.csv can't be written"):
        report().append_to(tmp_path / "no-folder" / "board.csv")


def test_a_replay_plays_its_rounds_with_the_bare_loop_between_them() -> None:
    calls: list[int] = []
    film = Replay(SystemClock(), pictures(), lambda: calls.append(1), frames=5, rounds=2, ready=lambda: True)
    film.open()
    seqs = []
    while (frame := film.read()) is not None:
        assert frame.image.shape == (480, 640, 3)
        seqs.append(frame.seq)
    film.close()
    assert len(film.whole) == len(film.bare) == 2
    assert len(calls) == 2 * (LEAD_IN + 5)
    assert seqs == sorted(set(seqs))


def test_a_camera_delivers_so_many_frames_once_all_is_connected() -> None:
    connected = iter([False, False, True])
    camera = Camera(SystemClock(), pictures((64, 48)), fps=1000, frames=7, ready=lambda: next(connected))
    frames = list(iter(camera.read, None))
    assert len(frames) == 3 + 7
    assert frames[0].image.shape == (48, 64, 3)


def test_a_note_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.write_text("[1, 2.5, 3.5]\n[2, 2.5, 3")
    assert read_notes(notes) == [ReceivedLabel(1, 2.5, 3.5)]


def test_what_is_measured_with_is_the_same_each_time() -> None:
    assert (pictures()[3] == pictures()[3]).all()
    (first, label), *_ = embeddings(4, 16)
    assert label == "class 0"
    assert float(first @ first) == pytest.approx(1)
    assert percentiles([1.0, 2.0, 3.0]).p50 == 2.0
