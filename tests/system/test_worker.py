"""Workers: a crash is reported, a stop ends the body."""

from __future__ import annotations

import threading

import pytest

from edge_daemon.system.worker import Worker


def test_a_crash_is_reported_to_the_owner() -> None:
    crashes: list[BaseException] = []
    handed = threading.Event()

    def on_crash(exc: BaseException) -> None:
        crashes.append(exc)
        handed.set()

    def body(_: threading.Event) -> None:
        raise ZeroDivisionError("broken")

    worker = Worker("test", body, on_crash)
    worker.start()
    assert handed.wait(10)
    worker.stop()
    assert [str(crash) for crash in crashes] == ["broken"]


def test_stop_ends_the_body_and_is_harmless_before_start() -> None:
    ended = threading.Event()

    def body(stop: threading.Event) -> None:
        stop.wait(60)
        ended.set()

    worker = Worker("test", body, lambda exc: None)
    worker.stop()
    again = Worker("test", body, lambda exc: None)
    again.start()
    again.stop()
    assert ended.is_set()


def test_a_requested_stop_ends_the_body_before_it_is_waited_for() -> None:
    ended = threading.Event()
    worker = Worker("test", lambda stop: ended.set() if stop.wait(60) else None, lambda exc: None)
    worker.start()
    worker.request_stop()
    assert ended.wait(10)


def test_a_body_that_does_not_end_in_time_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    released = threading.Event()
    worker = Worker("slow", lambda _: assert_set(released), lambda exc: None)
    worker.start()
    worker.stop(0.05)
    assert caplog.messages == ["thread slow did not stop within 0.05 s"]
    released.set()
    worker.stop()
    assert not worker.runs


def assert_set(event: threading.Event) -> None:
    assert event.wait(10)
