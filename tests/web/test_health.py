"""Supply, clock and network on the page and among the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from edge_daemon.domain import events
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.health import HealthChecks, SystemStats
from edge_daemon.web.live_feed import LiveFeed
from edge_daemon.web.metrics import Metrics
from edge_daemon.web.preview import PreviewEncoder
from edge_daemon.web.state import StateCache, UncertainPictures
from edge_daemon.web.viewers import ViewerRegistry
from tests.board.layout import lay_alarm, lay_link, lay_loopback, lay_throttled, write


class Page:
    """The page's health over a root that looks like a board's."""

    def __init__(self, root: Path, broker: bool | None = False) -> None:
        self.device = DeviceInfo("n", "1", "m", "knn", {}, "s", root / "x", root / "r", {}, lambda: broker)
        self.board = StateCache(self.device, UncertainPictures())
        self.machine = SystemStats(root)

    def lines(self) -> dict[str, tuple[object, object]]:
        vitals = HealthChecks(self.device, self.board, cast(LiveFeed, _NoFrames()), self.machine)
        return {str(line["name"]): (line["value"], line["state"]) for line in vitals.listed(0.0)}

    def metrics(self) -> list[str]:
        live, pictures = cast(LiveFeed, _NoFrames()), cast(PreviewEncoder, _NoFrames())
        figures = Metrics(self.device, self.board, live, ViewerRegistry(), pictures, self.machine)
        return figures.text().decode().splitlines()


class _NoFrames:
    fps = 0.0
    frames = encoded = 0
    last_s = 0.0

    def classified(self) -> list[events.Classified]:
        return []


def test_low_power_is_a_failure_and_remembered(tmp_path: Path) -> None:
    page, alarm = Page(tmp_path), lay_alarm(tmp_path, "1")
    assert page.lines()["Power"] == ("under-voltage", "failed")

    alarm.write_text("0\n")
    assert page.lines()["Power"] == ("never throttled", "ok")
    list(page.board.take(events.PowerLow(("throttled",))))
    assert page.lines()["Power"] == ("well now; since the start there was throttled", "warning")


def test_the_clock_is_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    page = Page(tmp_path)
    assert page.lines()["Clock"][1] == "warning"

    write(tmp_path, "run/systemd/timesync/synchronized", "")
    assert page.lines()["Clock"] == ("synchronised", "ok")


@pytest.mark.parametrize(("broker", "shown"), [(False, True), (True, False), (None, False)])
def test_a_dead_link_stands_beside_a_broker_that_is_gone(
    tmp_path: Path, broker: bool | None, shown: bool
) -> None:
    lay_loopback(tmp_path)
    lay_link(tmp_path, "wlan0", carrier="0", wireless=True)

    lines = Page(tmp_path, broker).lines()

    assert ("Network" in lines) is shown


def test_metrics_name_each_flag_and_the_clock(tmp_path: Path) -> None:
    lay_throttled(tmp_path, "soc/soc:firmware", "4\n")
    write(tmp_path, "run/systemd/timesync/synchronized", "")

    lines = Page(tmp_path).metrics()

    assert "edge_daemon_clock_synced 1.0" in lines
    assert 'edge_daemon_power{flag="throttled"} 1.0' in lines
    assert 'edge_daemon_power{flag="under_voltage"} 0.0' in lines


def test_a_machine_that_reports_nothing_has_no_such_metric(tmp_path: Path) -> None:
    assert not [line for line in Page(tmp_path).metrics() if line.startswith("edge_daemon_power")]
