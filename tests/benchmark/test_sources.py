"""Frame sources of the benchmark: rounds that alternate with the baseline, and a camera at its own pace."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain, repeat

from edge_daemon.benchmark.sources import WARM_UP, Camera, Replay
from edge_daemon.benchmark.statistics import pictures
from edge_daemon.system.clock import SystemClock


def test_rounds_of_a_replay_alternate_with_other_loops() -> None:
    calls: list[str] = []
    loops = {name: partial(calls.append, name) for name in ("a", "b")}
    source = Replay(SystemClock(), pictures(), loops, frames=5, rounds=2, ready=lambda: True, settle=7)
    source.open()
    seqs = []
    while (frame := source.read()) is not None:
        assert frame.image.shape == (480, 640, 3)
        seqs.append(frame.seq)
    source.close()
    assert len(source.daemon_passes) == len(source.loop_passes["a"]) == len(source.loop_passes["b"]) == 2
    assert calls == 2 * (["a"] * (WARM_UP + 5) + ["b"] * (WARM_UP + 5))
    assert len(seqs) == 7 + 2 * (1 + WARM_UP + 5)
    assert seqs == sorted(set(seqs))


def camera_of_7(received: Callable[[], int]) -> Camera:
    return Camera(SystemClock(), pictures((64, 48)), fps=1000, frames=7, received=received)


def test_camera_delivers_its_number_of_frames_once_everything_is_connected() -> None:
    received = chain([0, 0, 1], repeat(WARM_UP + 1))
    frames = list(iter(camera_of_7(lambda: next(received)).read, None))
    assert len(frames) == 3 + 7
    assert frames[0].image.shape == (48, 64, 3)


def test_camera_goes_on_until_labels_after_the_warm_up_arrive_but_not_for_ever() -> None:
    received = chain([1], [WARM_UP], repeat(WARM_UP + 1))
    assert len(list(iter(camera_of_7(lambda: next(received)).read, None))) == 1 + 2 * 7
    assert len(list(iter(camera_of_7(lambda: 1).read, None))) == 1 + 10 * 7
