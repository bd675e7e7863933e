"""A thread that hangs in its library ends the daemon; one that is only suspended with it does not."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from edge_daemon.app.build import build
from edge_daemon.config.schema import load_config
from edge_daemon.daemon import standstill
from edge_daemon.daemon.standstill import LIMIT_S, StandstillCheck
from edge_daemon.domain.errors import EdgeError
from edge_daemon.panel.gpio import GpioPins
from edge_daemon.panel.pin_factory import mock_factory
from tests.harness.panel_harness import PanelHarness


def test_a_panel_that_turns_does_not_hang_and_one_without_turns_does() -> None:
    panel = PanelHarness().panel
    check = StandstillCheck([object(), panel], 0.0)
    panel.start()
    for second in range(1, 3 * int(LIMIT_S)):
        turns = panel.turns
        while panel.turns == turns:
            time.sleep(0.001)
        check.check(float(second))
    panel.stop()
    check.check(100.0)
    for second in range(101, 101 + int(LIMIT_S)):
        check.check(float(second))
    with pytest.raises(EdgeError, match=r"^thread panel hangs in its library for 30 s; only a restart"):
        check.check(102.0 + LIMIT_S)


def test_a_process_that_was_suspended_does_not_hang() -> None:
    check = StandstillCheck([PanelHarness().panel], 0.0)
    for hour in range(1, int(LIMIT_S)):
        check.check(3600.0 * hour)


def test_the_daemon_ends_when_the_pin_library_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standstill, "LIMIT_S", 1.0)
    hang, go_on = threading.Event(), threading.Event()

    def health_check(_: GpioPins) -> None:  # as lgpio after its chip was removed
        if hang.is_set():
            go_on.wait()

    def close(_: GpioPins) -> None:
        assert not hang.is_set() or go_on.is_set(), "it would hang, too"

    monkeypatch.setattr(GpioPins, "health_check", health_check)
    monkeypatch.setattr(GpioPins, "close", close)
    config = load_config(
        None,
        [
            "camera={type: synthetic, size: [160, 120], fps: 20}",
            "buttons=[{pin: 17, label: cat}]",
            f"store.path={tmp_path}/examples.sqlite",
        ],
    )
    daemon = build(config, pin_factory=mock_factory())

    def let_go() -> None:
        assert hang.wait(60)
        time.sleep(4.0)
        go_on.set()

    thread = threading.Thread(target=let_go)
    thread.start()
    with pytest.raises(EdgeError, match="thread panel hangs"):
        daemon.run(on_classified=hang.set)
    thread.join()
