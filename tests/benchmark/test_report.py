"""Report of `edge-daemon bench` as JSON, table and CSV, from made-up figures."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from edge_daemon.benchmark.end_to_end import FrameAges, Throughput
from edge_daemon.benchmark.label_latency import PressTimes
from edge_daemon.benchmark.report import BenchmarkReport, check_csv, check_stages
from edge_daemon.benchmark.stages import BASELINE, WHOLE
from edge_daemon.benchmark.startup import Start
from edge_daemon.benchmark.statistics import Percentiles
from edge_daemon.domain.errors import EdgeError
from tests.harness.as_nobody import in_child_as_nobody
from tests.harness.open_folders import open_to_others

TWO = Percentiles(2.0, 3.0, 4.0)


def report(ages: FrameAges | None = None) -> BenchmarkReport:
    return BenchmarkReport(
        model="some model",
        examples=10,
        frames=20,
        size=(640, 480),
        broker=ages is not None,
        stages={BASELINE: Percentiles(1.0, 1.1, 1.2), "crop and resize": TWO, WHOLE: TWO},
        throughput=Throughput(
            frame_ms=2.5, frame_cpu_ms=3.0, baseline_ms=2.0, baseline_cpu_ms=2.0, one_thread_cpu_ms=2.5
        ),
        presses=PressTimes(TWO, TWO, TWO),
        start=Start(daemon_ms=300, baseline_ms=200, rss_mb=60.04, peak_mb=70),
        ages=ages,
    )


def test_figures_are_relative_to_the_baseline() -> None:
    figures = report().as_json()
    assert figures["ratio_to_baseline"] == 2.0
    assert figures["daemon"]["ratio"] == 1.25
    assert figures["daemon"]["cpu_ratio"] == 1.5
    assert figures["daemon"]["one_thread_ratio"] == 1.2
    assert figures["start_ratio"] == 1.5
    assert figures["captured_to_label_ms"] is None
    assert json.loads(json.dumps(figures)) == figures


def test_table_has_rows_of_the_broker_only_with_a_broker() -> None:
    assert "captured to received" in report(FrameAges(TWO, TWO, 9)).table()
    alone = report().table()
    assert "captured to received" not in alone
    assert "without a broker" in alone


def test_rows_of_a_csv_file_share_one_header(tmp_path: Path) -> None:
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
    assert rows[0]["daemon_baseline_ms"] == "2.0"
    assert rows[0]["captured_to_received_p99_ms"] == "4.0"


@pytest.mark.parametrize("content", ["my notes\n", "date,commit\n2026-01-01,abc\n", "\0\xff"])
def test_a_file_with_other_columns_stays_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "board.csv"
    path.write_text(content)
    for broker in (True, False):
        with pytest.raises(EdgeError, match=r"board\.csv"):
            check_csv(path, broker=broker)
    with pytest.raises(EdgeError, match=r"board\.csv"):
        report().append_to(path)
    assert path.read_text() == content


def test_a_run_without_a_broker_has_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    report(FrameAges(TWO, TWO, 9)).append_to(path)
    check_csv(path, broker=True)
    with pytest.raises(EdgeError, match="has other columns than this run"):
        check_csv(path, broker=False)
    with pytest.raises(EdgeError, match="has other columns than this run"):
        report().append_to(path)


def test_a_run_with_other_stages_has_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    stages = [BASELINE, "crop and resize", WHOLE]
    check_stages(path, stages)
    report().append_to(path)
    check_stages(path, stages)
    for others in ([*stages, "find object"], stages[:-1], [WHOLE, *stages[:-1]], []):
        with pytest.raises(EdgeError, match="has other columns than this run"):
            check_stages(path, others)
    path.write_text("date,size\n")
    with pytest.raises(EdgeError, match="has other columns than this run"):
        check_stages(path, stages)


def test_a_spreadsheet_s_byte_order_mark_is_no_column(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    report().append_to(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    report().append_to(path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == 2


def test_a_row_can_be_written_to_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_csv(pipe, broker=False)
        report().append_to(pipe)
        assert len(os.read(reader, 65536).splitlines()) == 2
    finally:
        os.close(reader)


def test_csv_file_that_cannot_be_written_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(EdgeError, match=r"no-folder/board\.csv can't be written"):
        report().append_to(tmp_path / "no-folder" / "board.csv")


def test_the_check_makes_no_file(tmp_path: Path) -> None:
    check_csv(tmp_path / "board.csv", broker=True)
    with pytest.raises(EdgeError, match=f"there is no folder {tmp_path}/no-folder"):
        check_csv(tmp_path / "no-folder" / "board.csv", broker=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_and_a_folder_that_this_user_may_not_write_are_refused(tmp_path: Path) -> None:
    open_to_others(tmp_path)
    closed = tmp_path / "closed.csv"
    closed.touch(mode=0o444)
    tmp_path.chmod(0o555)

    def refuse() -> None:
        with pytest.raises(EdgeError, match=r"closed\.csv can't be written: Permission denied"):
            check_csv(closed, broker=True)
        with pytest.raises(EdgeError, match="no permission to write in"):
            check_csv(tmp_path / "new.csv", broker=True)

    in_child_as_nobody(refuse)
    tmp_path.chmod(0o755)
