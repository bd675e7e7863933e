"""Status line and log lines of the daemon's events, sent to a real datagram socket."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_daemon.app.build import build
from edge_daemon.camera.browser import no_pictures
from edge_daemon.config.schema import load_config
from edge_daemon.daemon.status import StatusReporter
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain import events
from tests.daemon.test_systemd import Manager
from tests.harness.daemon_harness import wait_until
from tests.harness.mosquitto import free_port

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    running = Manager(tmp_path / "notify")
    yield running
    running.socket.close()


def test_the_status_line_has_every_fault_until_it_ends(manager: Manager) -> None:
    reporter = StatusReporter(Notifier(manager.environment))
    for event in (
        events.Ready(),
        events.PanelLost("no chip"),
        events.ExamplesNotKept("read-only card"),
        events.CameraLost("unplugged"),
        events.CameraRestored(1.0),
        events.PanelRestored(2.0),
        events.ExamplesKept(),
    ):
        reporter.handle(event)
    assert manager.read() == [
        "READY=1\nSTATUS=seeing",
        "STATUS=panel lost: no chip",
        "STATUS=panel lost: no chip; read-only card",
        "READY=1\nSTATUS=panel lost: no chip; camera lost: unplugged; read-only card",
        "STATUS=panel lost: no chip; read-only card",
        "STATUS=read-only card",
        "STATUS=seeing",
    ]


def test_a_camera_that_is_missing_at_the_start_makes_the_service_ready(manager: Manager) -> None:
    reporter = StatusReporter(Notifier(manager.environment))
    reporter.handle(events.CameraLost("no camera"))
    assert manager.read() == ["READY=1\nSTATUS=camera lost: no camera"]
    assert not reporter.camera_works
    reporter.handle(events.CameraRestored(3.0))
    reporter.handle(events.Ready())
    assert reporter.camera_works


def test_a_browser_that_has_not_given_its_camera_yet_is_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    own = [f"web.listen={free_port()}", "mqtt.host=null", f"store.path={tmp_path}/examples.sqlite"]
    daemon = build(load_config(None, ["camera={type: browser}", *own]))

    def lost() -> list[logging.LogRecord]:
        return [each for each in caplog.records if each.getMessage().startswith("camera lost: ")]

    def stop_then() -> None:
        try:
            wait_until(lambda: "lost" if lost() else "", lambda: "no outage is reported")
        finally:
            daemon.stop()

    threading.Thread(target=stop_then).start()
    daemon.run()
    assert [(each.levelname, each.getMessage()) for each in lost()] == [
        ("INFO", f"camera lost: {no_pictures().reason}")
    ]
    StatusReporter(Notifier({}), None, no_pictures().reason).handle(events.CameraLost("it fell asleep"))
    assert caplog.records[-1].levelname == "WARNING"


@pytest.mark.parametrize(("region", "line"), [("frame", "cup (90 %)"), ("left", "left: cup (90 %)")])
def test_a_changed_label_is_logged_with_its_region(
    region: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    StatusReporter(Notifier({})).handle(events.LabelChanged(region, "cup", None, 0.9, 1, NOON, 5.0))
    assert caplog.messages == [line]


def test_unknown_is_logged_without_a_confidence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    StatusReporter(Notifier({})).handle(events.LabelChanged("frame", "unknown", "cup", 0.0, 1, NOON, 5.0))
    assert caplog.messages == ["unknown"]
