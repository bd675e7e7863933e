"""A camera that takes over four seconds for a picture, and is asked again when it has answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.app.region_factory import build_regions
from edge_daemon.config.schema import load_config
from edge_daemon.domain import commands, events
from edge_daemon.domain.commands import Instruction, Origin
from edge_daemon.domain.types import Frame
from edge_daemon.example_store.store import ExampleStore
from tests.harness.pipeline_harness import GREEN, Bench
from tests.harness.scene_harness import GPIO, Table

PERIOD_S = 4.4
WAKE_S = 0.25


class SlowCamera:
    """Takes the frames of a bench or a table; each has the time of its request, and comes a period later."""

    def __init__(self, device: Bench | Table) -> None:
        self._device = device
        self.happened: list[events.Event] = []

    def run(self, frame: Frame, *instructions: Instruction, after_s: float = 0.0) -> None:
        """Deliver a frame requested now; the instructions come `after_s` seconds after the request."""
        clock = self._device.clock
        arrival_s = clock.monotonic() + PERIOD_S
        clock.advance(after_s)
        self.happened += self._device.pipeline.process(None, instructions)
        while clock.monotonic() + WAKE_S < arrival_s:
            clock.advance(WAKE_S)
            self.happened += self._device.pipeline.process(None, ())
        clock.advance(arrival_s - clock.monotonic())
        self.happened += self._device.pipeline.process(frame, ())

    @property
    def replies(self) -> list[events.CommandReply]:
        return [event for event in self.happened if isinstance(event, events.CommandReply)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExampleStore]:
    with ExampleStore(tmp_path / "examples.sqlite") as opened:
        yield opened


def bench_frame(bench: Bench) -> Frame:
    frame = bench.frame(GREEN)
    return Frame(frame.pixels, frame.seq, bench.clock.monotonic(), frame.captured_at)


def table_frame(table: Table, kind: str | None = None) -> Frame:
    table.seq += 1
    return Frame(table.table.picture(kind), table.seq, table.clock.monotonic(), table.clock.utc())


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_press_just_after_a_request_is_labelled(store: ExampleStore, before: int) -> None:
    bench = Bench(store, build_regions(load_config(None, [])))
    camera = SlowCamera(bench)
    for _ in range(before):
        camera.run(bench_frame(bench))
    press = commands.AddExample("green", bench.clock.monotonic() + 0.2, GPIO)
    camera.run(bench_frame(bench), press, after_s=0.2)
    camera.run(bench_frame(bench))
    assert [reply.error for reply in camera.replies] == [None]
    assert store.counts == {"green": 1}


@pytest.mark.parametrize("before", [0, 3])
def test_a_trigger_just_after_a_request_is_an_object(store: ExampleStore, before: int) -> None:
    bench = Bench(store, build_regions(load_config(None, ["trigger=mqtt"])))
    camera = SlowCamera(bench)
    for _ in range(before):
        camera.run(bench_frame(bench))
    trigger = commands.Trigger(bench.clock.monotonic() + 0.2, Origin("mqtt", "trigger", 7))
    camera.run(bench_frame(bench), trigger, after_s=0.2)
    camera.run(bench_frame(bench))
    camera.run(bench_frame(bench))
    assert [reply.error for reply in camera.replies] == [None]


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_press_learns_the_scene_though_a_hand_is_in_its_first_picture(
    store: ExampleStore, before: int
) -> None:
    table = Table(store)
    camera = SlowCamera(table)
    for _ in range(before):
        camera.run(table_frame(table))
    press = commands.LearnScene(table.clock.monotonic() + 0.2, GPIO)
    camera.run(table_frame(table), press, after_s=0.2)
    for kind in ("nut", None, None, None):
        camera.run(table_frame(table, kind))
    assert [reply.error for reply in camera.replies] == [None]


def outages(bench: Bench, seconds: float) -> list[str]:
    """Return the reasons of the outages in a time without a frame."""
    happened: list[events.Event] = []
    for _ in range(round(seconds / WAKE_S)):
        bench.clock.advance(WAKE_S)
        happened += bench.pipeline.process(None, ())
    return [event.reason for event in happened if isinstance(event, events.CameraLost)]


@pytest.mark.parametrize(
    ("period_s", "late_s", "reason"), [(4.0, 6.0, "no frame for 10 s"), (0.25, 5.0, "no frame for 5 s")]
)
def test_a_camera_is_lost_by_its_own_period(
    store: ExampleStore, period_s: float, late_s: float, reason: str
) -> None:
    """A browser that is asked for a picture every four seconds may take two more for one."""
    bench = Bench(store, build_regions(load_config(None, [])))
    assert outages(bench, 60) == []
    for _ in range(3):
        list(bench.pipeline.process(bench_frame(bench), ()))
        assert outages(bench, period_s) == []
    list(bench.pipeline.process(bench_frame(bench), ()))
    assert outages(bench, late_s) == []
    assert outages(bench, 20) == [reason]


def test_a_camera_that_fails_after_its_first_frame_is_lost(store: ExampleStore) -> None:
    bench = Bench(store, build_regions(load_config(None, [])))
    list(bench.pipeline.process(bench_frame(bench), ()))
    assert outages(bench, 5.0) == []
    assert outages(bench, 0.5) == ["no frame for 5 s"]


def test_a_trigger_before_a_camera_that_hangs_gets_an_error(store: ExampleStore) -> None:
    bench = Bench(store, build_regions(load_config(None, ["trigger=mqtt"])))
    for _ in range(5):
        bench.show(GREEN)
    trigger = commands.Trigger(bench.clock.monotonic(), Origin("mqtt", "trigger", 7))
    assert list(bench.pipeline.process(None, [trigger])) == []
    bench.clock.advance(5.1)
    _, reply = bench.pipeline.process(None, ())
    assert isinstance(reply, events.CommandReply)
    assert reply.error == "no frame came in time for the trigger"
