"""Outputs and keys at a real broker: on when they should be, off when broker or device is lost."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.actuators.controller import MessageReader, OutputController
from edge_daemon.actuators.ejector import EjectPulse, EjectSchedule, GpioOutputs, ObjectReader, OutputPin
from edge_daemon.actuators.key_hold import KeyHold, LabelReader
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import PanelError
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.subscriber import ReconnectingSubscriber
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.panel.simulated_buttons import SimulatedButtons
from edge_daemon.system.clock import SystemClock, utc_ms
from edge_daemon.system.testing import ManualClock
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener

TOPICS = device_topics(None, "pi", ("frame",))
TIMEOUT_S = 15.0
LONG_S = 60.0
"""Longer than any test, so that an output which is off earlier was switched off by a loss."""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def passed(label: str, number: int = 1) -> str:
    at = utc_ms(datetime.now(UTC))
    event = {"event_type": "object", "region": "frame", "label": label, "captured_at": at}
    return json.dumps({**event, "event_id": f"a-{number}"})


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@contextmanager
def controlling(
    broker: Mosquitto, reader: MessageReader, switch: Callable[[str, bool], None]
) -> Iterator[None]:
    """Run a controller in a separate thread."""
    stopping = threading.Event()
    options = MqttOptions(host=broker.host, port=broker.port)
    with ReconnectingSubscriber(options, f"{TOPICS.base}/#") as subscriber:
        controller = OutputController(TOPICS, reader, switch, SystemClock())
        thread = threading.Thread(target=controller.run, args=(subscriber.receive, stopping.is_set))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()


class Sorter:
    """The parts of a sorter on a mock pin: a valve for nuts."""

    def __init__(self, hold_s: float) -> None:
        self.presser = SimulatedButtons()
        self.outputs = GpioOutputs({"nut": OutputPin(5)}, self.presser.factory)
        schedule = EjectSchedule({"nut": EjectPulse(0.2, hold_s)})
        self.reader = ObjectReader(TOPICS, schedule, SystemClock())

    @property
    def on(self) -> bool:
        return self.presser.is_lit(5)


def publish_until(
    broker: Mosquitto, topic: str, payload: Callable[[int], str], done: Callable[[], bool]
) -> None:
    """Publish repeatedly, as a device does, until `done`."""
    with Listener(broker.port) as device:
        for number in range(1, 100):
            device.publish(topic, payload(number))
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                if done():
                    return
                time.sleep(0.005)
    raise AssertionError(f"{topic} had no effect")


def test_an_object_switches_its_output_on_and_off_again(broker: Mosquitto) -> None:
    sorter = Sorter(hold_s=0.3)
    with sorter.outputs, controlling(broker, sorter.reader, sorter.outputs.switch):
        publish_until(broker, TOPICS.event, lambda number: passed("nut", number), lambda: sorter.on)
        wait_until(lambda: not sorter.on)


@pytest.mark.parametrize("loss", ["broker killed", "device offline"])
def test_no_output_stays_on_when_broker_or_device_is_lost(broker: Mosquitto, loss: str) -> None:
    sorter = Sorter(hold_s=LONG_S)
    with sorter.outputs, controlling(broker, sorter.reader, sorter.outputs.switch):
        publish_until(broker, TOPICS.event, lambda number: passed("nut", number), lambda: sorter.on)
        if loss == "broker killed":
            broker.kill()
        else:
            with Listener(broker.port) as will:
                will.publish(TOPICS.availability, "offline")
        wait_until(lambda: not sorter.on)


def test_the_output_works_again_after_the_broker_came_back(broker: Mosquitto) -> None:
    sorter = Sorter(hold_s=LONG_S)
    with sorter.outputs, controlling(broker, sorter.reader, sorter.outputs.switch):
        publish_until(broker, TOPICS.event, lambda number: passed("nut", number), lambda: sorter.on)
        broker.kill()
        wait_until(lambda: not sorter.on)
        broker.start()
        publish_until(broker, TOPICS.event, lambda number: passed("nut", 1000 + number), lambda: sorter.on)
    assert not sorter.on


def test_a_key_is_held_and_released_with_the_broker(broker: Mosquitto) -> None:
    held: set[str] = set()
    reader = LabelReader(TOPICS, KeyHold({"left": "KEY_LEFT"}, dead_man_s=LONG_S), "frame")
    with controlling(broker, reader, lambda key, down: held.add(key) if down else held.discard(key)):
        with Listener(broker.port) as device:
            device.publish(TOPICS.label("frame"), "left", retain=True)
        assert not held
        publish_until(broker, TOPICS.result("frame"), lambda _: "{}", lambda: bool(held))
        broker.kill()
        wait_until(lambda: not held)


def test_a_key_is_released_when_results_stop(broker: Mosquitto) -> None:
    held: list[str] = []
    reader = LabelReader(TOPICS, KeyHold({"left": "KEY_LEFT"}, dead_man_s=0.3), "frame")
    with controlling(broker, reader, lambda key, down: held.append(f"{key} {down}")):
        with Listener(broker.port) as device:
            device.publish(TOPICS.label("frame"), "left", retain=True)
        publish_until(broker, TOPICS.result("frame"), lambda _: "{}", lambda: bool(held))
        wait_until(lambda: len(held) >= 2)
    assert held[:2] == ["KEY_LEFT True", "KEY_LEFT False"]


def test_a_servo_goes_to_its_far_end_and_back() -> None:
    from gpiozero.pins.mock import MockPWMPin

    factory = SimulatedButtons().factory  # whose other pins make no pulses
    with GpioOutputs({"bolt": OutputPin(6, "servo")}, factory) as outputs:
        pin = factory.pin(6, pin_class=MockPWMPin)
        outputs.switch("bolt", True)
        far = pin.state
        outputs.switch("bolt", False)
        assert far > pin.state > 0
    assert pin.state == 0


def test_a_pin_that_cannot_be_used_is_named() -> None:
    factory = SimulatedButtons().factory
    with (
        GpioOutputs({"nut": OutputPin(5)}, factory),
        pytest.raises(PanelError, match="'bolt' can't use BCM 5"),
    ):
        GpioOutputs({"bolt": OutputPin(5)}, factory).__enter__()


@given(st.binary() | st.dictionaries(st.text(), st.none() | st.text()).map(lambda d: json.dumps(d).encode()))
def test_any_event_is_read_or_ignored(payload: bytes) -> None:
    reader = ObjectReader(TOPICS, EjectSchedule({}), SystemClock())
    reader.read(Incoming(TOPICS.event, payload, retained=False), 10.0)


def test_an_event_without_a_zone_or_from_another_region_plans_nothing() -> None:
    schedule = EjectSchedule({"nut": EjectPulse(LONG_S, 1.0)})
    reader = ObjectReader(TOPICS, schedule, SystemClock(), region="left")
    naive = (datetime.now(UTC) - timedelta(seconds=1)).replace(tzinfo=None).isoformat()
    for text in (passed("nut"), passed("nut").replace('"frame"', '"left"').replace("Z", ""), naive):
        reader.read(Incoming(TOPICS.event, text.encode(), retained=False), 10.0)
    assert schedule.next_change(10.0) is None


def test_setting_the_devices_clock_between_capture_and_event_makes_no_object_late() -> None:
    now = ManualClock().utc()
    event = {
        "event_type": "object",
        "region": "frame",
        "label": "nut",
        "event_id": "a-1",
        "captured_at": utc_ms(now - timedelta(days=60)),
        "latency_ms": 250.0,
        "at": utc_ms(now),
    }
    schedule = EjectSchedule({"nut": EjectPulse(travel_s=0.5, hold_s=1.0)})

    ObjectReader(TOPICS, schedule, ManualClock()).read(
        Incoming(TOPICS.event, json.dumps(event).encode(), False), now=10.0
    )

    assert schedule.late == 0
    assert [schedule.active(at_s) for at_s in (10.2, 10.3)] == [frozenset(), {"nut"}]


def object_event(**changes: object) -> bytes:
    """An event of a nut, with values of JSON that no device sends."""
    event = {"event_type": "object", "region": "frame", "label": "nut", "event_id": "a-1"}
    return json.dumps({**event, "captured_at": utc_ms(ManualClock().utc()), **changes}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"at": "2026-01-01T00:00:00Z", "latency_ms": float("inf")},
        {"at": "2026-01-01T00:00:00Z", "latency_ms": float("nan")},
        {"at": "0001-01-01T00:00:00Z", "latency_ms": 1e300},
        {"captured_at": "0001-01-01T00:00:00+23:59"},
        {"captured_at": None},
    ],
)
def test_an_event_with_impossible_times_is_ignored(changes: dict[str, object]) -> None:
    schedule = EjectSchedule({"nut": EjectPulse(LONG_S, 1.0)})
    event = Incoming(TOPICS.event, object_event(**changes), retained=False)
    ObjectReader(TOPICS, schedule, ManualClock()).read(event, now=10.0)
    assert schedule.next_change(10.0) is None


def test_a_device_whose_clock_is_ahead_ejects_nothing_and_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    schedule = EjectSchedule({"nut": EjectPulse(0.5, 1.0)})
    ahead = utc_ms(ManualClock().utc() + timedelta(seconds=3))
    event = Incoming(TOPICS.event, object_event(captured_at=ahead), retained=False)
    ObjectReader(TOPICS, schedule, ManualClock()).read(event, now=10.0)
    assert schedule.next_change(10.0) is None
    assert "clock is 3.0 s ahead" in caplog.text


def test_of_many_late_events_the_first_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A device that was cut off from its broker sends what it kept all at once."""
    reader = ObjectReader(TOPICS, EjectSchedule({"nut": EjectPulse(0.5, 1.0)}), ManualClock())
    now = ManualClock().utc()
    for number, age_s in enumerate([60.0, 50.0, 40.0, 0.1, 30.0]):
        captured_at = utc_ms(now - timedelta(seconds=age_s))
        event = object_event(event_id=str(number), captured_at=captured_at)
        reader.read(Incoming(TOPICS.event, event, retained=False), now=100.0)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text.split(", ")[-1] for text in warnings] == [
        "60.0 s after its capture",
        "30.0 s after its capture",
    ]


def test_a_report_that_fails_leaves_no_output_on() -> None:
    """Both outputs are switched before the first report, and off when the failure ends the run."""
    pulse = EjectPulse(0.0, LONG_S)
    schedule = EjectSchedule({"nut": pulse, "bolt": pulse})
    clock, on = ManualClock(), set[str]()
    seen: list[set[str]] = []

    def switch(name: str, state: bool) -> None:
        on.add(name) if state else on.discard(name)

    def report(name: str, state: bool) -> None:
        seen.append(set(on))
        raise BrokenPipeError

    for number, label in enumerate(("nut", "bolt")):
        assert schedule.plan(label, str(number), age_s=0.0, now=clock.monotonic())
    reader = ObjectReader(TOPICS, schedule, clock)
    controller = OutputController(TOPICS, reader, switch, clock, report)
    with pytest.raises(BrokenPipeError):
        controller.run(lambda timeout_s: None, lambda: False)
    assert seen == [{"nut", "bolt"}, set()]
    assert on == set()


def test_a_lost_chip_is_a_named_error_and_every_output_is_released() -> None:
    presser = SimulatedButtons()
    pins = {"nut": OutputPin(5), "bolt": OutputPin(6)}
    with GpioOutputs(pins, presser.factory) as outputs:
        outputs.switch("bolt", True)
        assert presser.is_lit(6)
        with (
            mock.patch.object(presser.factory.pin(5), "_set_state", side_effect=OSError("no such device")),
            pytest.raises(PanelError, match="the output of 'nut' can't be used: "),
        ):
            outputs.switch("nut", True)
    assert not presser.is_lit(6)
