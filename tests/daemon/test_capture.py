"""The capture loop through outages of a scripted source."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.camera.replay import ReplaySource
from edge_daemon.config.camera import ReplayOptions
from edge_daemon.daemon.capture import MAX_ATTEMPT_S, SLOT_WAIT_S, STABLE_S, Capture
from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.domain.commands import CameraFailed, Origin, Undo
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.types import Frame
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.testing import ManualClock


class ScriptedSource:
    """Delivers a script of frames and faults; counts the calls of open and close."""

    lossless = True
    period_s = 0.0

    def __init__(self, *script: str) -> None:
        self._script: Iterator[str] = iter(script)
        self.opened = self.closed = 0
        self._seq = 0

    def open(self) -> None:
        self.opened += 1

    def close(self) -> None:
        self.closed += 1

    def read(self) -> Frame | None:
        match next(self._script):
            case "end":
                return None
            case "lost":
                raise CameraError("the cable is out")
        self._seq += 1
        return Frame(np.zeros((2, 2, 3), np.uint8), self._seq, self._seq * self.period_s, datetime.now(UTC))


def drain(mailbox: Mailbox, stop: threading.Event) -> tuple[list[int], list[str], bool]:
    """Empty the mailbox until the source has ended; return frames, outages and True."""
    frames: list[int] = []
    outages: list[str] = []
    while True:
        batch = mailbox.take_all(10)
        frames += [batch.frame.seq] if batch.frame else []
        outages += [each.reason for each in batch.instructions if isinstance(each, CameraFailed)]
        if batch.ended:
            return frames, outages, True


def test_an_outage_can_name_a_picture_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    picture = tmp_path / os.fsdecode(b"K\xe4fer.jpg")
    picture.write_bytes(b"cut by a power cut")
    mailbox, stop = Mailbox(), threading.Event()
    source = ReplaySource(ReplayOptions(path=str(tmp_path)), SystemClock())
    thread = threading.Thread(target=Capture(source, mailbox, Backoff(first_s=0, max_s=0)).run, args=(stop,))
    thread.start()
    [failed, *_] = mailbox.take_all(10).instructions
    stop.set()
    thread.join(10)
    assert isinstance(failed, CameraFailed)
    assert r"K\udce4fer.jpg" in failed.reason
    assert failed.reason.encode()  # as the page, the broker and a serial port need it


def test_lost_camera_is_reported_and_reopened_until_the_source_ends() -> None:
    source = ScriptedSource("frame", "lost", "lost", "frame", "frame", "end")
    mailbox = Mailbox()
    stop = threading.Event()
    capture = Capture(source, mailbox, Backoff(first_s=0, max_s=0))
    thread = threading.Thread(target=capture.run, args=(stop,))
    thread.start()
    frames, outages, ended = drain(mailbox, stop)
    thread.join(10)
    assert frames == [1, 2, 3]
    assert outages == ["the cable is out", "the cable is out", "the source has ended"]
    assert ended
    assert source.opened == 3
    assert source.closed >= source.opened


def test_stop_ends_the_wait_for_a_lost_camera() -> None:
    source = ScriptedSource("lost", "lost")
    stop = threading.Event()
    capture = Capture(source, Mailbox(), Backoff(first_s=3600, max_s=3600))
    thread = threading.Thread(target=capture.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_with_needs_frame_only_a_loss_before_the_first_frame_raises() -> None:
    mailbox = Mailbox()
    capture = Capture(ScriptedSource("lost"), mailbox, needs_frame=True)
    with pytest.raises(CameraError, match="the cable is out"):
        capture.run(threading.Event())
    assert mailbox.take_all(0).instructions == []
    source = ScriptedSource("frame", "lost", "end")
    stop = threading.Event()
    capture = Capture(source, mailbox, Backoff(first_s=0, max_s=0), needs_frame=True)
    thread = threading.Thread(target=capture.run, args=(stop,))
    thread.start()
    frames, outages, _ = drain(mailbox, stop)
    thread.join(10)
    assert frames == [1]
    assert outages == ["the cable is out", "the source has ended"]


@pytest.mark.parametrize("script", [("frame", "end"), ("frame", "lost", "end")])
def test_an_outage_is_reported_after_the_last_frame_is_taken(script: tuple[str, ...]) -> None:
    stop, mailbox = threading.Event(), Mailbox()
    capture = Capture(ScriptedSource(*script), mailbox, Backoff(first_s=0, max_s=0), end_reason="repeat it")
    thread = threading.Thread(target=capture.run, args=(stop,))
    thread.start()
    thread.join(0.1)  # the pipeline is slower than the source
    first = mailbox.take_all(10)
    assert first.frame is not None
    assert (first.instructions, first.ended) == ([], False)
    _, outages, _ = drain(mailbox, stop)
    thread.join(10)
    assert outages == [*["the cable is out"][: len(script) - 2], "repeat it"]


class RecordedPauses(threading.Event):
    """A stop event that records the pauses in place of waiting; set after `count` of them."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self._count = count

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0.0)
        if len(self.pauses) == self._count:
            self.set()
        return self.is_set()


def test_a_camera_that_gives_one_frame_and_fails_again_is_tried_less_and_less_often() -> None:
    source = ScriptedSource(*("frame", "lost") * 5)
    source.lossless = False
    mailbox = Mailbox()
    thread = threading.Thread(target=lambda: [mailbox.take_all(0.05) for _ in range(40)])
    thread.start()
    stop = RecordedPauses(5)
    Capture(source, mailbox, Backoff(first_s=0.5, max_s=30)).run(stop)
    assert stop.pauses == [0.5, 1, 2, 4, 8]
    thread.join()


def test_a_camera_that_worked_for_some_seconds_is_tried_again_soon() -> None:
    """Some network cameras end their stream every few seconds."""
    source = ScriptedSource(*(*("frame",) * 10, "lost") * 5)
    source.lossless, source.period_s = False, STABLE_S / 8
    mailbox = Mailbox()
    thread = threading.Thread(target=lambda: [mailbox.take_all(0.05) for _ in range(40)])
    thread.start()
    stop = RecordedPauses(5)
    Capture(source, mailbox, Backoff(first_s=0.5, max_s=30)).run(stop)
    assert stop.pauses == [0.5] * 5
    thread.join()


class HangingSource(ScriptedSource):
    """Is lost, and hangs when it is closed then or opened again, until it is released."""

    def __init__(self, hangs_in: str) -> None:
        super().__init__("lost", "frame", "end")
        self._hangs_in = hangs_in
        self.hangs, self.released = threading.Event(), threading.Event()

    def open(self) -> None:
        super().open()
        if self.opened == 2:
            self._hang("open")

    def close(self) -> None:
        super().close()
        if self.closed == 1:
            self._hang("close")

    def _hang(self, call: str) -> None:
        if call == self._hangs_in:
            self.hangs.set()
            assert self.released.wait(10)


@pytest.mark.parametrize("call", ["open", "close"])
def test_a_lost_camera_whose_driver_hangs_is_no_longer_waited_for(call: str) -> None:
    """The watchdog is not fed then: only a restart of the process ends the hang."""
    source, mailbox, clock, stop = HangingSource(call), Mailbox(), ManualClock(), threading.Event()
    capture = Capture(source, mailbox, Backoff(first_s=0, max_s=0), now=clock.monotonic)
    thread = threading.Thread(target=capture.run, args=(stop,))
    thread.start()
    assert source.hangs.wait(10)
    assert capture.waits_for_camera
    clock.advance(MAX_ATTEMPT_S + 1)
    assert not capture.waits_for_camera
    source.released.set()
    drain(mailbox, stop)
    thread.join(10)
    clock.advance(1e6)
    assert capture.waits_for_camera, "the source has ended: no frame is expected"


def test_an_outage_is_reported_though_the_queue_of_commands_is_full() -> None:
    stop, mailbox = threading.Event(), Mailbox(max_queued=1)
    mailbox.submit(Undo(Origin("mqtt", "undo", 1)))
    thread = threading.Thread(target=Capture(ScriptedSource("end"), mailbox).run, args=(stop,))
    thread.start()
    thread.join(SLOT_WAIT_S / 2)
    assert drain(mailbox, stop)[1] == ["the source has ended"]
    thread.join(10)
