"""System statistics, health checks and metrics over files laid out like a board's /proc and /sys."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.registry import Collector

from edge_daemon.board.power import Power
from edge_daemon.domain import events
from edge_daemon.domain.types import Prediction
from edge_daemon.models.registry import DEFAULT_MODEL
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.health import HealthChecks, SystemStats
from edge_daemon.web.label_history import LabelHistory
from edge_daemon.web.latency_histogram import BUCKETS_S, LatencyHistogram
from edge_daemon.web.live_feed import LiveFeed
from edge_daemon.web.metrics import Metrics
from edge_daemon.web.preview import PreviewEncoder
from edge_daemon.web.state import StateCache, UncertainImages
from edge_daemon.web.viewers import ViewerRegistry
from tests.board.layout import lay_alarm, lay_link, lay_loopback, lay_model, lay_throttled, write
from tests.harness.model_user import weaken_shipped_model

CREATED = "edge_daemon_latency_seconds_created"


class HealthHarness:
    """Health checks and metrics over a root laid out like a board's."""

    def __init__(self, root: Path, broker: bool | None = False) -> None:
        self.device = DeviceInfo("n", "1", "m", "knn", {}, "s", root / "x", dict, lambda: broker)
        history = LabelHistory(LatestFrame(), ThreadPoolExecutor(1), lambda: 0.0)
        self.state = StateCache(self.device, UncertainImages(), history)
        self.system = SystemStats(root)
        self.latency = LatencyHistogram()

    def checks(self) -> dict[str, tuple[object, object]]:
        checks = HealthChecks(self.device, self.state, cast(LiveFeed, _NoFrames()), self.system)
        return {str(each["name"]): (each["value"], each["state"]) for each in checks.run(0.0)}

    def metrics(self) -> list[str]:
        feed, preview = cast(LiveFeed, _NoFrames()), cast(PreviewEncoder, _NoFrames())
        viewers = ViewerRegistry()
        metrics = Metrics(self.device, self.state, feed, viewers, preview, self.system, self.latency)
        return metrics.text().decode().splitlines()


class _NoFrames:
    fps = 0.0
    frames = encoded = 0
    last_s = 0.0

    def classified(self) -> list[events.Classified]:
        return []


class _Frames(_NoFrames):
    """One region whose frames take `latency_ms` from capture to label."""

    def __init__(self, latency_ms: float) -> None:
        self.latency_ms = latency_ms

    def classified(self) -> list[events.Classified]:
        prediction = Prediction("cat", {"cat": 1.0}, 1.0)
        return [events.Classified("frame", prediction, 1, datetime.now(UTC), self.latency_ms)]


def test_latencies_are_those_of_a_histogram_of_prometheus(tmp_path: Path) -> None:
    harness = HealthHarness(tmp_path)
    oracle = Histogram(
        "edge_daemon_latency_seconds",
        "Time from the capture of a frame to its label.",
        ["region"],
        registry=None,
        buckets=BUCKETS_S,
    )
    for region, latency_ms in [("left", 5.0), ("left", 4.0), ("left", 5.1), ("right", 9000.0)]:
        event = events.Classified(region, Prediction("cat", {}, 1.0), 1, datetime.now(UTC), latency_ms)
        harness.latency.observe(event)
        oracle.labels(region).observe(latency_ms / 1000)
    registry = CollectorRegistry()
    registry.register(cast(Collector, oracle))
    expected = generate_latest(registry).decode().splitlines()

    def without_times(lines: list[str]) -> list[str]:
        return [line for line in lines if "_latency_" in line and not line.startswith(CREATED)]

    assert without_times(harness.metrics()) == without_times(expected)
    assert [line.split()[0] for line in harness.metrics() if line.startswith(CREATED)] == [
        f'{CREATED}{{region="left"}}',
        f'{CREATED}{{region="right"}}',
    ]


def test_a_page_that_is_not_scraped_does_not_load_prometheus() -> None:
    program = "import sys, edge_daemon.web.server; assert 'prometheus_client' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(("latency_ms", "advised"), [(2.0, True), (400.0, False)])
def test_accuracy_and_a_better_model_for_the_board_are_shown(
    tmp_path: Path, latency_ms: float, advised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    weaken_shipped_model(monkeypatch)
    lay_model(tmp_path, "Raspberry Pi 5 Model B Rev 1.0")
    harness = HealthHarness(tmp_path)
    device = replace(harness.device, model=DEFAULT_MODEL)
    checks = HealthChecks(device, harness.state, cast(LiveFeed, _Frames(latency_ms)), harness.system)
    (value,) = (str(check["value"]) for check in checks.run(0.0) if check["name"] == "Model")
    assert value.startswith(f"{DEFAULT_MODEL}, classifier knn; ")
    assert "% with ten examples of each class" in value
    assert f"{latency_ms:.0f} ms from capture to label" in value
    assert ("better: edge-daemon models use " in value) is advised


def test_an_unknown_model_is_shown_by_its_name(tmp_path: Path) -> None:
    assert HealthHarness(tmp_path).checks()["Model"] == ("m, classifier knn", "ok")


def test_low_power_is_a_failure_and_then_a_warning(tmp_path: Path) -> None:
    harness, alarm = HealthHarness(tmp_path), lay_alarm(tmp_path, "1")
    assert harness.checks()["Power"] == ("under-voltage", "failed")

    alarm.write_text("0\n")
    assert harness.checks()["Power"] == ("never throttled", "ok")
    list(harness.state.apply(events.PowerLow(("throttled",))))
    assert harness.checks()["Power"] == ("ok now; since the start there was throttled", "warning")


def test_the_clock_is_checked(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    harness = HealthHarness(tmp_path)
    assert harness.checks()["Clock"][1] == "warning"

    write(tmp_path, "run/systemd/timesync/synchronized", "")
    assert harness.checks()["Clock"] == ("synchronised", "ok")


@pytest.mark.parametrize(("broker", "shown"), [(False, True), (True, False), (None, False)])
def test_a_dead_link_is_reported_while_the_broker_is_not_connected(
    tmp_path: Path, broker: bool | None, shown: bool
) -> None:
    lay_loopback(tmp_path)
    lay_link(tmp_path, "wlan0", carrier="0", wireless=True)

    checks = HealthHarness(tmp_path, broker).checks()

    assert ("Network" in checks) is shown


def test_metrics_name_each_flag_and_the_clock(tmp_path: Path) -> None:
    lay_throttled(tmp_path, "soc/soc:firmware", "4\n")
    write(tmp_path, "run/systemd/timesync/synchronized", "")

    metrics = HealthHarness(tmp_path).metrics()

    assert "edge_daemon_clock_synced 1.0" in metrics
    assert 'edge_daemon_power{flag="throttled"} 1.0' in metrics
    assert 'edge_daemon_power{flag="under_voltage"} 0.0' in metrics


def test_a_board_without_power_flags_has_no_such_metric(tmp_path: Path) -> None:
    assert not [line for line in HealthHarness(tmp_path).metrics() if line.startswith("edge_daemon_power")]


def test_panel_up_follows_the_panel(tmp_path: Path) -> None:
    harness = HealthHarness(tmp_path)
    assert "edge_daemon_panel_up 1.0" in harness.metrics()
    list(harness.state.apply(events.PanelLost("no chip")))
    assert "edge_daemon_panel_up 0.0" in harness.metrics()
    list(harness.state.apply(events.PanelRestored(1.0)))
    assert "edge_daemon_panel_up 1.0" in harness.metrics()


def test_the_process_has_the_standard_memory_metric(tmp_path: Path) -> None:
    [value] = [
        float(line.split()[1])
        for line in HealthHarness(tmp_path).metrics()
        if line.startswith("process_resident_memory_bytes ")
    ]
    assert value > 1_000_000


def test_temperature_memory_and_throttling_are_read(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "61842\n")
    write(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    system = SystemStats(tmp_path)
    assert system.temperature() == 61.842
    assert system.power() == Power(("under_voltage", "throttled"), ("under_voltage", "throttled"))
    assert system.memory_bytes() is None
    assert (SystemStats().memory_bytes() or 0) > 1_000_000


def test_missing_files_give_no_values(tmp_path: Path) -> None:
    system = SystemStats(tmp_path)
    assert (system.temperature(), system.power()) == (None, None)
