"""Settings that change while the device runs: trigger and threshold, and their events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.app.region_factory import build_regions, build_settings
from edge_daemon.config.schema import load_config
from edge_daemon.domain import events
from edge_daemon.domain.commands import Origin, SetThreshold, SetTrigger, Trigger
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.motion import WARMUP_FRAMES
from tests.harness.pipeline_harness import RED, Bench

GREY = (110, 120, 130)
MQTT = Origin("mqtt", "trigger", 7)
TO_MOTION, TO_CONTINUOUS = SetTrigger(MQTT, "motion"), SetTrigger(MQTT, "continuous")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExampleStore]:
    with ExampleStore(tmp_path / "examples.sqlite") as opened:
        yield opened


def make_bench(store: ExampleStore, *overrides: str) -> Bench:
    config = load_config(None, list(overrides))
    bench = Bench(store, build_regions(config), settings=build_settings(config))
    bench.show(GREY)
    bench.teach("red", RED)
    return bench


def test_continuous_to_motion_and_back(store: ExampleStore) -> None:
    bench = make_bench(store)
    assert bench.pipeline.settings() == events.SettingsChanged("continuous", "auto")
    bench.show(GREY, instructions=(TO_MOTION,))
    assert bench.found(events.SettingsChanged) == [events.SettingsChanged("motion", "auto")]
    assert [reply.data for reply in bench.found(events.CommandReply)] == [{"mode": "motion"}]
    for _ in range(WARMUP_FRAMES):
        bench.show(GREY)
    bench.show(RED)
    bench.show(GREY)
    assert [event.label for event in bench.found(events.ObjectPassed)] == ["red"]
    bench.show(RED, instructions=(TO_CONTINUOUS,))
    assert bench.label == "red"
    bench.show(GREY)
    assert bench.found(events.ObjectPassed) == []


def test_a_change_of_trigger_ends_the_object_in_view_and_replies_to_pending_triggers(
    store: ExampleStore,
) -> None:
    bench = make_bench(store, "trigger=mqtt")
    seen = Trigger(bench.clock.monotonic(), MQTT)
    bench.show(RED, instructions=(seen,))
    unseen = Trigger(bench.clock.monotonic() + 1, MQTT)
    happened = list(bench.pipeline.process(None, (unseen, TO_CONTINUOUS)))
    replies = [event for event in happened if isinstance(event, events.CommandReply)]
    assert [(reply.command, reply.error is None) for reply in replies] == [
        (seen, True),
        (unseen, False),
        (TO_CONTINUOUS, True),
    ]
    assert [event.label for event in happened if isinstance(event, events.ObjectPassed)] == ["red"]


def test_an_unavailable_mode_changes_nothing(store: ExampleStore) -> None:
    bench = make_bench(store, "trigger=mqtt")
    (reply,) = list(bench.pipeline.process(None, (SetTrigger(MQTT, "gpio"),)))
    assert isinstance(reply, events.CommandReply)
    assert "continuous, motion, mqtt" in str(reply.error)
    bench.show(RED, instructions=(Trigger(bench.clock.monotonic(), MQTT),))
    assert bench.pipeline.settings().trigger == "mqtt"
    assert bench.label == "red"


def test_gpio_is_available_if_a_button_triggers(store: ExampleStore) -> None:
    button = "buttons.0={pin: 4, action: trigger}"
    bench = make_bench(store, "trigger=gpio", button)
    list(bench.pipeline.process(None, (TO_CONTINUOUS,)))
    list(bench.pipeline.process(None, (SetTrigger(MQTT, "gpio"),)))
    assert bench.pipeline.settings().trigger == "gpio"


@pytest.mark.parametrize("unknown", [0.5, "off", "auto"])
def test_only_an_accepted_threshold_is_reported(store: ExampleStore, unknown: float | str) -> None:
    bench = make_bench(store)
    happened = list(bench.pipeline.process(None, (SetThreshold(MQTT, unknown),)))
    assert events.SettingsChanged("continuous", unknown) in happened
    happened = list(bench.pipeline.process(None, (SetThreshold(MQTT, 7.0),)))
    assert not [event for event in happened if isinstance(event, events.SettingsChanged)]
    assert bench.pipeline.settings().unknown == unknown
