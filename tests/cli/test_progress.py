"""Progress bar: drawn on a terminal, silent elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from edge_daemon.cli.progress import Progress, draw_transfer, redraw
from edge_daemon.domain.errors import ModelError
from edge_daemon.models.registry import Manifest
from edge_daemon.models.web_transfer import ProgressCallback
from tests.harness.shared_files import shared_path
from tests.harness.terminal import shown_on_a_terminal


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _seconds(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


def test_terminal_shows_the_progress_and_the_remaining_time() -> None:
    terminal = _Terminal()
    ticks = _seconds(1)
    progress = Progress("embedding", terminal, lambda: next(ticks))
    assert list(progress("abcd", 4)) == ["a", "b", "c", "d"]
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert drawn[1] == f"embedding [{'.' * 30}] 0/4"
    # The clock is 0 at the start and 3 at the third item: 1.5 s per item, two remaining.
    assert drawn[3] == f"embedding [{'#' * 15 + '.' * 15}] 2/4, 3 s left"
    assert drawn[-1] == ""


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("x" * 90, "x" * 79),
        ("é" * 90, "é" * 79),
        ("猫" * 90, "猫" * 39),
        ("a" + "猫" * 90, "a" + "猫" * 39),
        ("x" * 77 + "🐈🐈", "x" * 77 + "🐈"),
    ],
)
def test_a_line_never_wraps_as_a_wrapped_one_can_t_be_erased(line: str, shown: str) -> None:
    terminal = _Terminal()
    redraw(terminal, line)
    assert terminal.getvalue() == f"\r\x1b[K{shown}"


def test_bar_is_drawn_at_most_ten_times_a_second() -> None:
    terminal = _Terminal()
    ticks = _seconds(0.01)
    list(Progress("embedding", terminal, lambda: next(ticks))(range(100), 100))
    assert terminal.getvalue().count("embedding") <= 11


@pytest.mark.parametrize(
    ("done", "total", "shown"), [(0, 0, ""), (5, 5, ""), (0, 2_000_000, "a.txt   0 % of 2.0 MB")]
)
def test_a_transfer_shows_its_progress_also_of_an_empty_file(
    done: int, total: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    draw_transfer("a.txt", done, total)
    assert terminal.getvalue() == f"\r\x1b[K{shown}"


def test_line_is_cleared_when_the_work_fails() -> None:
    terminal = _Terminal()

    def failing() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Progress("embedding", terminal)(failing(), 2))
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_nothing_is_written_to_a_file_or_pipe() -> None:
    stream = io.StringIO()
    assert list(Progress("embedding", stream)(range(3), 3)) == [0, 1, 2]
    assert stream.getvalue() == ""


@pytest.mark.parametrize("end", [ModelError("the server ended early"), KeyboardInterrupt()])
def test_a_transfer_that_ends_early_leaves_no_line(
    end: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(manifest: Manifest, folder: Path, source: str | None, progress: ProgressCallback) -> Path:
        progress(manifest.file, 1, 2)
        raise end

    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("edge_daemon.cli.model_pull.download_model", fail)
    assert main(["models", "pull", "mobilenet_v1_0.25_128_quant"]) != 0
    shown = terminal.getvalue()
    assert "50 %" in shown
    assert "%" not in shown.rpartition("\x1b[K")[2]


def test_neither_results_nor_warnings_are_written_behind_a_bar(tmp_path: Path) -> None:
    for label in ("trashnet6/glass", "trashnet6/metal", "trashnet6/paper"):
        folder = tmp_path / label.rpartition("/")[2]
        folder.mkdir()
        for picture in sorted(shared_path(f"data/{label}").iterdir())[:12]:
            (folder / picture.name).symlink_to(picture)
    (tmp_path / "glass" / "aa.jpg").write_text("no picture")
    (tmp_path / "paper" / "zz.jpg").write_text("no picture")
    words = ["evaluate", str(tmp_path), "--shots", "2", "--seeds", "2"]
    for options, bars in (
        (["--classifiers", "knn"], {"knn, 2 shots"}),
        (["--unknown"], {"near, 2 shots"}),
        (["--leave-one-out", "--tune"], {"leave-one-out, 2 shots", "tune, 2 shots"}),
    ):
        lines = shown_on_a_terminal(*words, *options)
        kept = [line.rpartition("\x1b[K")[2] for line in lines]
        assert sum("left out" in line for line in kept) == 2
        assert not [line for line in kept if "[#" in line or "[." in line]
        states = [state for line in lines for state in line.split("\x1b[K")]
        assert bars < {state.partition(" [")[0] for state in states if " [." in state}
