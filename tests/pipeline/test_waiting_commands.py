"""Commands that wait for a frame: an undo withdraws presses, and a request without a frame gets an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_daemon.domain import commands, events
from edge_daemon.domain.commands import AddExample, TakeSnapshot, Undo
from edge_daemon.domain.frame_timing import MAX_FRAME_WAIT_S
from edge_daemon.example_store.store import ExampleStore
from tests.harness.pipeline_harness import BLUE, GPIO, GREEN, RED, Bench

if TYPE_CHECKING:
    from edge_daemon.domain.commands import Instruction


def run(bench: Bench, *instructions: Instruction) -> list[events.CommandReply]:
    """Run instructions without a frame; return the replies."""
    bench.happened = list(bench.pipeline.process(None, instructions))
    return bench.found(events.CommandReply)


def test_an_undo_withdraws_the_press_that_waits_for_its_frame(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    refused, undone = run(bench, bench.press("green"), Undo(GPIO))
    assert refused.error == "undone before a frame followed the press"
    assert refused.withdrawn
    assert undone.data == {"text": "1 press of 'green' withdrawn"}
    bench.show(GREEN)
    assert store.counts == {"red": 1}
    run(bench, Undo(GPIO))
    assert store.counts == {}


def test_an_undo_withdraws_the_waiting_presses_of_one_burst(bench: Bench, store: ExampleStore) -> None:
    bench.show(BLUE)
    now = bench.clock.monotonic()
    burst = [AddExample("green", now + 0.01 * number, GPIO, group="held") for number in range(3)]
    replies = run(bench, bench.press("red"), *burst, Undo(GPIO))
    assert [reply.error is None for reply in replies] == [False, False, False, True]
    assert replies[-1].data == {"text": "3 presses of 'green' withdrawn"}
    bench.show(BLUE)
    assert store.counts == {"red": 1}


def test_an_undo_of_a_numbered_change_withdraws_no_press(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    (undone,) = run(bench, bench.press("green"), Undo(GPIO, change=1))
    assert undone.data["change"] == 1
    bench.show(GREEN)
    assert store.counts == {"green": 1}


def test_a_snapshot_that_finds_no_frame_gets_an_error(bench: Bench) -> None:
    bench.show(RED)
    assert run(bench, TakeSnapshot(GPIO), commands.CameraFailed("unplugged")) == []
    bench.clock.advance(MAX_FRAME_WAIT_S + 0.1)
    (reply,) = run(bench)
    assert reply.error == "no frame came within 13 s of the request"
    bench.show(RED)
    assert not bench.found(events.Snapshot)


def test_a_snapshot_waits_for_a_network_camera_with_over_five_seconds_between_frames(bench: Bench) -> None:
    bench.show(RED)
    run(bench, TakeSnapshot(GPIO))
    bench.clock.advance(5.5)
    assert run(bench) == []
    bench.show(RED)
    assert bench.found(events.Snapshot)


def show_slowly(bench: Bench, period_s: float) -> None:
    """Show three frames of a camera with this time between two."""
    for _ in range(3):
        bench.clock.advance(period_s - 0.1)
        bench.show(GREEN)


def test_a_press_waits_for_a_network_camera_with_over_five_seconds_between_frames(
    bench: Bench, store: ExampleStore
) -> None:
    show_slowly(bench, 5.5)
    run(bench, bench.press("green"))
    bench.clock.advance(5.4)
    assert run(bench) == []
    bench.show(GREEN)
    assert store.counts == {"green": 1}


@pytest.mark.parametrize(("period_s", "wait_s"), [(0.1, 5), (2.5, 6.25), (60, 13)])
def test_a_press_that_finds_no_frame_gets_an_error(bench: Bench, period_s: float, wait_s: float) -> None:
    show_slowly(bench, period_s)
    run(bench, bench.press("green"))
    bench.clock.advance(wait_s - 0.1)
    assert run(bench) == []
    bench.clock.advance(0.2)
    (reply,) = run(bench)
    assert reply.error == f"no frame came within {wait_s:g} s of the press"
