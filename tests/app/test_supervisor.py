"""Reloads and restores of the supervisor, with fake daemons that the test controls."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from edge_daemon.app import supervisor as module
from edge_daemon.app.preflight import Prepared, Running
from edge_daemon.app.supervisor import Supervisor
from edge_daemon.config.camera import BrowserOptions, SyntheticOptions
from edge_daemon.config.page_settings import PageSettings
from edge_daemon.config.schema import Config, DeviceOptions, LoadedConfig
from edge_daemon.config.yaml_source import ConfigSource
from edge_daemon.daemon.daemon import Daemon, Outcome
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain.errors import CameraError, ConfigError, WebError
from edge_daemon.domain.events import SettingsChanged
from tests.harness.daemon_harness import wait_until

TIMEOUT_S = 10.0


class FakeDaemon:
    """Classifies a frame, then waits for a stop or a reload; or fails before its first frame."""

    frame_size = (160, 120)
    settings = SettingsChanged("continuous", "auto")

    def __init__(self, name: str, needs_frame: bool, fault: Exception | None) -> None:
        self.name = name
        self.needs_frame = needs_frame
        self.fault = fault
        self.running = threading.Event()
        self.outcome: Outcome | None = None
        self._asked = threading.Event()
        self.crash: Exception | None = None

    @property
    def camera_works(self) -> bool:
        return self.running.is_set()

    def stop(self) -> None:
        self.outcome = Outcome.STOPPED
        self._asked.set()

    def reload(self) -> None:
        self.outcome = self.outcome or Outcome.RELOAD
        self._asked.set()

    def fail(self, crash: Exception) -> None:
        self.crash = crash
        self._asked.set()

    def run(self, on_classified: Callable[[], None], on_started: Callable[[], None]) -> Outcome:
        if self.fault is not None:
            raise self.fault
        if self.outcome is None:
            on_classified()
            self.running.set()
        assert self._asked.wait(TIMEOUT_S)
        if self.crash is not None:
            raise self.crash
        assert self.outcome is not None
        return self.outcome


class SupervisorThread:
    """A supervisor in a thread; the test edits the configuration and reads the list of built daemons."""

    def __init__(self) -> None:
        self.config = _named("first")
        self.error: Exception | None = None
        """The error that the next configuration is rejected with."""
        self.rejected = threading.Event()
        self.faults: dict[str, list[Exception]] = {}
        self.built: list[FakeDaemon] = []
        self.on_build: Callable[[], None] = lambda: None
        self._built = threading.Condition()
        self.supervisor = Supervisor(lambda: _loaded(self.config), self._prepare, self._build, Notifier({}))
        self.result: Outcome | BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _prepare(self, config: Config, running: Running | None) -> Prepared:
        error, self.error = self.error, None
        if error is not None:
            self.rejected.set()
            raise error
        return Prepared(config, "a model", None)

    def _build(self, prepared: Prepared, *, needs_frame: bool) -> Daemon:
        self.on_build()
        name = str(prepared.config.device.id)
        faults = self.faults.get(name, [])
        daemon = FakeDaemon(name, needs_frame, faults.pop(0) if faults else None)
        with self._built:
            self.built.append(daemon)
            self._built.notify_all()
        return cast("Daemon", daemon)

    def _run(self) -> None:
        try:
            self.result = self.supervisor.run()
        except Exception as exc:
            self.result = exc

    def start(self) -> None:
        self.supervisor.prepare(_loaded(self.config))
        self._thread.start()

    def edit(self, name: str) -> None:
        self.config = _named(name)
        self.supervisor.reload()

    def wait_for(self, *names: str) -> FakeDaemon:
        """Wait until daemons with these names were built, in this order, and the last one runs."""

        def all_built() -> bool:
            return [daemon.name for daemon in self.built] == list(names)

        with self._built:
            assert self._built.wait_for(all_built, TIMEOUT_S), [daemon.name for daemon in self.built]
        assert self.built[-1].running.wait(TIMEOUT_S)
        return self.built[-1]

    def end(self) -> Outcome | BaseException | None:
        self.supervisor.stop()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        return self.result


def _loaded(config: Config) -> LoadedConfig:
    return LoadedConfig(config, ConfigSource(), None, PageSettings(Path("settings.yaml"), ConfigSource()))


def _named(name: str, fps: float = 15.0) -> Config:
    return Config(device=DeviceOptions(id=name), camera=SyntheticOptions(fps=fps))


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> SupervisorThread:
    monkeypatch.setattr(module, "RESTORE_PAUSE_S", 0.0)
    return SupervisorThread()


def test_a_changed_configuration_replaces_the_daemon(harness: SupervisorThread) -> None:
    harness.start()
    harness.wait_for("first")
    harness.edit("second")
    harness.wait_for("first", "second")
    assert harness.end() is Outcome.STOPPED


def test_a_start_that_fails_raises(harness: SupervisorThread) -> None:
    harness.error = ConfigError("no model")
    with pytest.raises(ConfigError, match="no model"):
        harness.start()
    harness.faults["first"] = [WebError("port taken")]
    harness.start()
    assert isinstance(harness.end(), WebError)
    assert len(harness.built) == 1


def test_a_rejected_change_leaves_the_daemon_running_and_a_later_one_is_used(
    harness: SupervisorThread,
) -> None:
    harness.start()
    harness.wait_for("first")
    harness.error = RuntimeError("a fault of the program")
    harness.edit("second")
    assert harness.rejected.wait(TIMEOUT_S)
    harness.edit("third")
    assert harness.wait_for("first", "third").needs_frame is False
    assert harness.end() is Outcome.STOPPED


def test_after_a_failure_before_the_first_frame_the_last_working_configuration_is_restored(
    harness: SupervisorThread,
) -> None:
    harness.faults["bad"] = [ValueError("anything")]
    harness.start()
    harness.wait_for("first")
    harness.edit("second")
    harness.wait_for("first", "second")
    harness.edit("bad")
    harness.wait_for("first", "second", "bad", "second")
    assert harness.end() is Outcome.STOPPED


def test_a_restore_is_retried_while_its_port_is_busy(harness: SupervisorThread) -> None:
    harness.faults["bad"] = [WebError("port taken")]
    harness.start()
    harness.wait_for("first")
    harness.faults["first"] = [WebError("port taken"), WebError("port taken")]
    harness.edit("bad")
    harness.wait_for("first", "bad", "first", "first", "first")
    assert harness.end() is Outcome.STOPPED


class WeakHarness(SupervisorThread):
    """Keeps no daemon: `alive` has those that others keep, and `counts` their number at each build."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: weakref.WeakSet[FakeDaemon] = weakref.WeakSet()
        self.counts: list[int] = []

    def _build(self, prepared: Prepared, *, needs_frame: bool) -> Daemon:
        self.counts.append(len(self.alive))
        daemon = super()._build(prepared, needs_frame=needs_frame)
        self.alive.add(self.built.pop())
        return daemon

    def wait_for_builds(self, count: int) -> None:
        """Wait until the daemon of this number runs."""
        wait_until(
            lambda: (
                "yes" if len(self.counts) == count and any(each.camera_works for each in self.alive) else ""
            ),
            lambda: f"{self.counts}",
        )


def test_a_failed_daemon_is_freed_before_the_next_one_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds the examples; a restore is tried twenty times."""
    monkeypatch.setattr(module, "RESTORE_PAUSE_S", 0.0)
    harness = WeakHarness()
    harness.faults["bad"] = [WebError("port taken")]
    harness.start()
    harness.wait_for_builds(1)
    harness.faults["first"] = [WebError(f"taken {number}") for number in range(5)]
    gc.disable()
    try:
        harness.edit("bad")
        harness.wait_for_builds(8)
    finally:
        gc.enable()
    assert harness.end() is Outcome.STOPPED
    assert harness.counts == [0] * 8


def test_a_restore_that_keeps_failing_ends_with_the_error(harness: SupervisorThread) -> None:
    harness.faults["bad"] = [WebError("port taken")]
    harness.start()
    harness.wait_for("first")
    harness.faults["first"] = [
        WebError(f"taken {number}") for number in range(module.MAX_RESTORE_ATTEMPTS + 1)
    ]
    harness.edit("bad")
    harness._thread.join(TIMEOUT_S)
    assert str(harness.result) == f"taken {module.MAX_RESTORE_ATTEMPTS}"


def test_the_crash_of_a_daemon_that_worked_is_raised(harness: SupervisorThread) -> None:
    harness.start()
    harness.wait_for("first")
    harness.edit("second")
    harness.wait_for("first", "second").fail(CameraError("a bug"))
    harness._thread.join(TIMEOUT_S)
    assert isinstance(harness.result, CameraError)


def test_a_stop_during_a_build_takes_effect(harness: SupervisorThread) -> None:
    harness.start()
    harness.wait_for("first")
    harness.on_build = harness.supervisor.stop
    harness.edit("second")
    harness._thread.join(TIMEOUT_S)
    assert harness.result is Outcome.STOPPED


def test_a_stop_during_a_restore_takes_effect(harness: SupervisorThread) -> None:
    harness.faults["bad"] = [WebError("port taken")]
    harness.start()
    harness.wait_for("first")
    harness.on_build = harness.supervisor.stop
    harness.edit("bad")
    harness._thread.join(TIMEOUT_S)
    assert harness.result is Outcome.STOPPED


def test_an_edit_during_a_build_is_used_next(harness: SupervisorThread) -> None:
    harness.start()
    harness.wait_for("first")
    prepared = threading.Event()

    def edit_again() -> None:
        harness.on_build = lambda: None
        harness.edit("third")
        while harness.supervisor._pending is None:
            prepared.wait(0.01)

    harness.on_build = edit_again
    harness.edit("second")
    harness.wait_for("first", "second", "third")
    assert harness.end() is Outcome.STOPPED


def test_an_edit_back_to_an_earlier_configuration_is_a_change(harness: SupervisorThread) -> None:
    harness.start()
    harness.wait_for("first")
    harness.edit("second")
    harness.wait_for("first", "second")
    harness.edit("first")
    assert harness.wait_for("first", "second", "first").name == "first"
    assert harness.end() is Outcome.STOPPED


def test_only_a_changed_camera_after_a_working_one_needs_a_frame(harness: SupervisorThread) -> None:
    harness.start()
    harness.wait_for("first")
    harness.edit("second")
    assert not harness.wait_for("first", "second").needs_frame
    harness.config = _named("third", fps=5)
    harness.supervisor.reload()
    third = harness.wait_for("first", "second", "third")
    assert third.needs_frame
    third.running.clear()
    harness.config = _named("fourth", fps=6)
    harness.supervisor.reload()
    assert not harness.wait_for("first", "second", "third", "fourth").needs_frame
    assert harness.end() is Outcome.STOPPED


def test_a_browsers_camera_replaces_one_that_works(harness: SupervisorThread) -> None:
    """Nobody can give a picture before its daemon serves the page."""
    harness.start()
    harness.wait_for("first")
    harness.config = Config(device=DeviceOptions(id="second"), camera=BrowserOptions())
    harness.supervisor.reload()
    assert not harness.wait_for("first", "second").needs_frame
    assert harness.end() is Outcome.STOPPED
