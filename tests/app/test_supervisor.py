"""What replaces a daemon and what it goes back to, with daemons that do as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import cast

import pytest

from edge_daemon.app import supervisor as module
from edge_daemon.app.preflight import Prepared, Running
from edge_daemon.app.supervisor import Supervisor
from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.config.schema import Config, DeviceOptions
from edge_daemon.daemon.daemon import Daemon, Outcome
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain.errors import CameraError, ConfigError, WebError

PATIENCE_S = 10.0


class HandDaemon:
    """Classifies a frame when it runs, then waits to be stopped or replaced; or fails before that."""

    frame_size = (160, 120)

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

    def run(self, on_classified: Callable[[], None]) -> Outcome:
        if self.fault is not None:
            raise self.fault
        if self.outcome is None:
            on_classified()
            self.running.set()
        assert self._asked.wait(PATIENCE_S)
        if self.crash is not None:
            raise self.crash
        assert self.outcome is not None
        return self.outcome


class Stand:
    """A supervisor in a thread; the test writes the configuration and sees which daemons were built."""

    def __init__(self) -> None:
        self.config = _named("first")
        self.refusal: Exception | None = None
        """What the next configuration is refused with."""
        self.refused = threading.Event()
        self.faults: dict[str, list[Exception]] = {}
        self.built: list[HandDaemon] = []
        self.on_build: Callable[[], None] = lambda: None
        self._built = threading.Condition()
        self.supervisor = Supervisor(lambda: self.config, self._prepare, self._build, Notifier({}))
        self.result: Outcome | BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _prepare(self, config: Config, running: Running | None) -> Prepared:
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            self.refused.set()
            raise refusal
        return Prepared(config, None)

    def _build(self, prepared: Prepared, *, needs_frame: bool) -> Daemon:
        self.on_build()
        name = str(prepared.config.device.id)
        faults = self.faults.get(name, [])
        daemon = HandDaemon(name, needs_frame, faults.pop(0) if faults else None)
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
        self.supervisor.prepare()
        self._thread.start()

    def edit(self, name: str) -> None:
        self.config = _named(name)
        self.supervisor.reload()

    def wait_for(self, *names: str) -> HandDaemon:
        """Wait until daemons of these names were built, in this order, and the last one runs."""

        def all_built() -> bool:
            return [daemon.name for daemon in self.built] == list(names)

        with self._built:
            assert self._built.wait_for(all_built, PATIENCE_S), [daemon.name for daemon in self.built]
        assert self.built[-1].running.wait(PATIENCE_S)
        return self.built[-1]

    def end(self) -> Outcome | BaseException | None:
        self.supervisor.stop()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.result


def _named(name: str, fps: float = 15.0) -> Config:
    return Config(device=DeviceOptions(id=name), camera=SyntheticOptions(fps=fps))


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    monkeypatch.setattr(module, "RESTORE_PAUSE_S", 0.0)
    return Stand()


def test_a_changed_configuration_takes_over(stand: Stand) -> None:
    stand.start()
    stand.wait_for("first")
    stand.edit("second")
    stand.wait_for("first", "second")
    assert stand.end() is Outcome.STOPPED


def test_a_start_that_cannot_work_raises(stand: Stand) -> None:
    stand.refusal = ConfigError("no model")
    with pytest.raises(ConfigError, match="no model"):
        stand.start()
    stand.faults["first"] = [WebError("port taken")]
    stand.start()
    assert isinstance(stand.end(), WebError)
    assert len(stand.built) == 1


def test_a_refused_change_leaves_the_daemon_alone_and_a_later_one_is_taken(stand: Stand) -> None:
    stand.start()
    stand.wait_for("first")
    stand.refusal = RuntimeError("a fault of the program")
    stand.edit("second")
    assert stand.refused.wait(PATIENCE_S)
    stand.edit("third")
    assert stand.wait_for("first", "third").needs_frame is False
    assert stand.end() is Outcome.STOPPED


def test_a_daemon_that_fails_before_its_first_frame_gives_way_to_the_last_that_worked(stand: Stand) -> None:
    stand.faults["bad"] = [ValueError("anything")]
    stand.start()
    stand.wait_for("first")
    stand.edit("second")
    stand.wait_for("first", "second")
    stand.edit("bad")
    stand.wait_for("first", "second", "bad", "second")
    assert stand.end() is Outcome.STOPPED


def test_going_back_is_tried_again_while_what_it_needs_is_still_held(stand: Stand) -> None:
    stand.faults["bad"] = [WebError("port taken")]
    stand.start()
    stand.wait_for("first")
    stand.faults["first"] = [WebError("port taken"), WebError("port taken")]
    stand.edit("bad")
    stand.wait_for("first", "bad", "first", "first", "first")
    assert stand.end() is Outcome.STOPPED


def test_going_back_in_vain_ends_with_the_reason(stand: Stand) -> None:
    stand.faults["bad"] = [WebError("port taken")]
    stand.start()
    stand.wait_for("first")
    stand.faults["first"] = [WebError(f"taken {number}") for number in range(module.RESTORE_TRIES + 1)]
    stand.edit("bad")
    stand._thread.join(PATIENCE_S)
    assert str(stand.result) == f"taken {module.RESTORE_TRIES}"


def test_a_daemon_that_has_worked_ends_with_its_crash(stand: Stand) -> None:
    stand.start()
    stand.wait_for("first")
    stand.edit("second")
    stand.wait_for("first", "second").fail(CameraError("a bug"))
    stand._thread.join(PATIENCE_S)
    assert isinstance(stand.result, CameraError)


def test_a_stop_while_a_daemon_is_built_ends_it(stand: Stand) -> None:
    stand.start()
    stand.wait_for("first")
    stand.on_build = stand.supervisor.stop
    stand.edit("second")
    stand._thread.join(PATIENCE_S)
    assert stand.result is Outcome.STOPPED


def test_a_stop_while_going_back_ends_too(stand: Stand) -> None:
    stand.faults["bad"] = [WebError("port taken")]
    stand.start()
    stand.wait_for("first")
    stand.on_build = stand.supervisor.stop
    stand.edit("bad")
    stand._thread.join(PATIENCE_S)
    assert stand.result is Outcome.STOPPED


def test_an_edit_while_a_daemon_is_built_takes_over_next(stand: Stand) -> None:
    stand.start()
    stand.wait_for("first")
    prepared = threading.Event()

    def edit_again() -> None:
        stand.on_build = lambda: None
        stand.edit("third")
        while stand.supervisor._pending is None:
            prepared.wait(0.01)

    stand.on_build = edit_again
    stand.edit("second")
    stand.wait_for("first", "second", "third")
    assert stand.end() is Outcome.STOPPED


def test_an_edit_that_goes_back_is_a_change_too(stand: Stand) -> None:
    stand.start()
    stand.wait_for("first")
    stand.edit("second")
    stand.wait_for("first", "second")
    stand.edit("first")
    assert stand.wait_for("first", "second", "first").name == "first"
    assert stand.end() is Outcome.STOPPED


def test_only_another_camera_in_place_of_one_that_works_needs_a_frame(stand: Stand) -> None:
    stand.start()
    stand.wait_for("first")
    stand.edit("second")
    assert not stand.wait_for("first", "second").needs_frame
    stand.config = _named("third", fps=5)
    stand.supervisor.reload()
    third = stand.wait_for("first", "second", "third")
    assert third.needs_frame
    third.running.clear()
    stand.config = _named("fourth", fps=6)
    stand.supervisor.reload()
    assert not stand.wait_for("first", "second", "third", "fourth").needs_frame
    assert stand.end() is Outcome.STOPPED
