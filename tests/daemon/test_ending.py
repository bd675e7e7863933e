"""The end of the main loop: every command that was accepted gets its reply."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.app.build import build
from edge_daemon.config.schema import load_config
from edge_daemon.daemon.daemon import RESTARTING
from edge_daemon.domain.commands import AddExample, Command, Origin, TakeSnapshot, Trigger, Undo
from edge_daemon.domain.events import CommandReply, Event
from edge_daemon.example_store.store import ExampleStore


class Recorder:
    """A sink that keeps the replies."""

    def __init__(self) -> None:
        self.replies: list[CommandReply] = []

    def start(self) -> None:
        return

    def stop(self) -> None:
        return

    def handle(self, event: Event) -> None:
        if isinstance(event, CommandReply):
            self.replies.append(event)


@pytest.mark.parametrize("trigger", ["continuous", "mqtt"])
def test_commands_that_were_accepted_before_a_reload_are_executed_or_get_an_error(
    tmp_path: Path, trigger: str
) -> None:
    config = load_config(
        None,
        [
            "camera={type: synthetic, size: [160, 120], fps: 1}",
            f"trigger={trigger}",
            "mqtt={host: 127.0.0.1, port: 9}",  # nobody answers there
            f"store.path={tmp_path}/examples.sqlite",
        ],
    )
    with ExampleStore(tmp_path / "examples.sqlite") as store:
        store.add(np.array([1.0, 0.0], np.float32), "cat", space="another")
    daemon, recorder = build(config), Recorder()
    daemon._sinks = [*daemon._sinks, recorder]
    given: list[Command] = []

    def give() -> None:
        while not daemon.camera_works:
            time.sleep(0.02)
        time.sleep(0.2)  # a fifth of the way to the next frame
        origin = Origin("mqtt", "request", 1)
        now = time.monotonic()
        given.append(Undo(origin))  # of the stored example: it would withdraw a press before it
        given.extend(AddExample(label, now, origin) for label in ("cat", "dog"))
        given.append(TakeSnapshot(origin))
        if trigger == "mqtt":
            given.append(Trigger(now, origin))
        assert all(daemon._mailbox.submit(command) for command in given)
        daemon.reload()

    thread = threading.Thread(target=give)
    thread.start()
    daemon.run()
    thread.join()
    replied = {id(reply.command): reply for reply in recorder.replies}
    assert set(replied) == {id(command) for command in given}
    errors = {type(each).__name__: replied[id(each)].error for each in given}
    assert errors.pop("Undo") is None, "the store was at hand"
    assert set(errors.values()) == {RESTARTING}
    assert not daemon._mailbox.submit(Undo(Origin("mqtt", "request", 2))), "nobody would answer it"


def test_a_stop_does_not_wait_for_commands_that_take_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["camera={type: synthetic, size: [160, 120], fps: 5}", "mqtt.host=null"]
    config = load_config(None, [*settings, f"store.path={tmp_path}/examples.sqlite"])
    daemon, recorder = build(config), Recorder()
    daemon._sinks = [*daemon._sinks, recorder]
    monkeypatch.setattr("edge_daemon.daemon.daemon.FINISH_S", 0.0)
    given = [Undo(Origin("mqtt", "request", number)) for number in range(20)]
    real = daemon._mailbox.close

    def close_with_many_commands() -> None:
        assert daemon._mailbox.submit(*given)
        real()

    monkeypatch.setattr(daemon._mailbox, "close", close_with_many_commands)
    daemon.stop()
    daemon.run()
    assert [reply.error for reply in recorder.replies] == [RESTARTING] * len(given)


class BrokenRecorder(Recorder):
    """A sink whose stop fails."""

    def stop(self) -> None:
        raise OSError("its device is gone")


class StoppedRecorder(Recorder):
    """A sink that remembers its stop."""

    stopped = False

    def stop(self) -> None:
        self.stopped = True


def test_a_part_that_fails_to_stop_does_not_keep_the_others_running(tmp_path: Path) -> None:
    settings = ["camera={type: synthetic, size: [160, 120], fps: 5}", "mqtt.host=null"]
    daemon = build(load_config(None, [*settings, f"store.path={tmp_path}/examples.sqlite"]))
    first = StoppedRecorder()
    daemon._sinks = [first, BrokenRecorder()]
    daemon.stop()
    with pytest.raises(OSError, match="its device is gone"):
        daemon.run()
    assert first.stopped
    assert "capture" not in {thread.name for thread in threading.enumerate()}
    assert not (tmp_path / "examples.sqlite-wal").exists(), "the store is closed"


def test_the_end_waits_for_a_frame_of_a_slow_camera(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A camera that is still read can't be opened by the next daemon."""
    settings = ["camera={type: synthetic, size: [160, 120], fps: 0.25}", "mqtt.host=null"]
    daemon = build(load_config(None, [*settings, f"store.path={tmp_path}/examples.sqlite"]))
    daemon.run(on_classified=daemon.stop)
    assert "did not stop" not in caplog.text
    assert "capture" not in {thread.name for thread in threading.enumerate()}
