"""scripts/install on a board whose owner has stopped or disabled the service: it stays so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scripts.board import Answers, Board

STAYS = "the service was stopped and stays so; start it: sudo systemctl enable --now edge-daemon"


@pytest.fixture
def running(tmp_path: Path) -> Board:
    """A board whose service runs the first program."""
    board = Board(tmp_path)
    board.offer(Answers("1.0"))
    assert board.install().returncode == 0
    assert (board.service, board.starts_at_boot) == ("active", True)
    return board


def _stop(board: Board, state: str, *, disabled: bool) -> None:
    (board.place / "service").write_text(f"{state}\n")
    if disabled:
        (board.place / "enabled").unlink()


@pytest.mark.parametrize(("state", "disabled"), [("inactive", False), ("inactive", True), ("failed", True)])
def test_an_upgrade_and_a_rollback_leave_a_stopped_service_stopped(
    running: Board, state: str, disabled: bool
) -> None:
    _stop(running, state, disabled=disabled)
    done = running.upgrade(Answers("2.0"))
    assert done.returncode == 0, done.stderr
    assert STAYS in done.stdout
    assert "started" not in done.stdout
    assert (running.version, running.service, running.starts_at_boot) == ("2.0", state, not disabled)
    done = running.install("--rollback")
    assert STAYS in done.stdout
    assert (running.version, running.service, running.starts_at_boot) == ("1.0", state, not disabled)


def test_a_disabled_service_that_runs_is_restarted_and_stays_disabled(running: Board) -> None:
    _stop(running, "active", disabled=True)
    done = running.upgrade(Answers("2.0"))
    assert (done.returncode, "started;" in done.stdout) == (0, True)
    assert "systemctl restart edge-daemon.service" in running.log()
    assert (running.service, running.starts_at_boot) == ("active", False)


def test_a_service_that_failed_or_starts_again_and_again_is_started(running: Board) -> None:
    for state, version in (("failed", "2.0"), ("activating", "3.0")):
        _stop(running, state, disabled=False)
        assert "started;" in running.upgrade(Answers(version)).stdout
        assert running.service == "active"


def test_after_an_uninstallation_the_service_is_enabled_and_started_again(running: Board) -> None:
    running.install("--uninstall")
    _stop(running, "inactive", disabled=True)
    assert running.install().returncode == 0
    assert (running.service, running.starts_at_boot) == ("active", True)


@pytest.mark.parametrize("call", ["enable", "daemon-reload", "restart"])
def test_after_an_interrupted_first_installation_the_next_one_starts_the_service(
    tmp_path: Path, call: str
) -> None:
    board = Board(tmp_path)
    board.offer(Answers("1.0"))
    systemctl = board.place / "bin/systemctl"
    real = systemctl.read_text()
    systemctl.write_text(
        real.replace("case", f'case "$*" in {call}*) kill -9 $PPID; exit 1 ;; esac\ncase', 1)
    )
    assert board.install().returncode == -9
    systemctl.write_text(real)
    assert "started;" in board.install().stdout
    assert (board.service, board.starts_at_boot) == ("active", True)
