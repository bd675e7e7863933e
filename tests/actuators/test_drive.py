"""Outputs and keys at a real broker: on when they should be, and off whatever vanishes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.actuators.drive import Drive, KeyReader, Reader, SortingReader
from edge_daemon.actuators.gpio import Outputs, Wire
from edge_daemon.actuators.keys import HeldKeys
from edge_daemon.actuators.sorting import Ejection, Sorting
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import PanelError
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.serializer import utc_ms
from edge_daemon.mqtt.subscriber import ReconnectingSubscriber
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.panel.simulated_buttons import SimulatedButtons
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.testing import ManualClock
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener

TOPICS = device_topics(None, "pi", ("frame",))
PATIENCE_S = 15.0
LONG_S = 60.0
"""Longer than any test: what is off before was switched off by a loss."""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
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
def driving(broker: Mosquitto, reader: Reader, switch: Callable[[str, bool], None]) -> Iterator[None]:
    """Run a drive in a thread, as the scripts run it in theirs."""
    stopping = threading.Event()
    with ReconnectingSubscriber(
        MqttOptions(host=broker.host, port=broker.port), f"{TOPICS.base}/#"
    ) as follower:
        drive = Drive(TOPICS, reader, switch, SystemClock())
        thread = threading.Thread(target=drive.run, args=(follower, stopping.is_set))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


class Sorter:
    """The sorter's parts on mock pins: a valve for nuts, a servo for bolts."""

    def __init__(self, hold_s: float) -> None:
        self.presser = SimulatedButtons()
        wires = {"nut": Wire(5)}
        self.outputs = Outputs(wires, self.presser.factory)
        self.reader = SortingReader(TOPICS, Sorting({"nut": Ejection(0.2, hold_s)}), SystemClock())

    @property
    def on(self) -> bool:
        return self.presser.is_lit(5)


def say_until(broker: Mosquitto, topic: str, payload: Callable[[int], str], done: Callable[[], bool]) -> None:
    """Publish again and again, as a device does, until it has had its effect."""
    with Listener(broker.port) as device:
        for number in range(1, 100):
            device.publish(topic, payload(number))
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                if done():
                    return
                time.sleep(0.005)
    raise AssertionError(f"nothing came of {topic}")


def test_an_object_drives_its_output_for_a_moment(broker: Mosquitto) -> None:
    sorter = Sorter(hold_s=0.3)
    with sorter.outputs, driving(broker, sorter.reader, sorter.outputs.switch):
        say_until(broker, TOPICS.event, lambda number: passed("nut", number), lambda: sorter.on)
        wait_until(lambda: not sorter.on)


@pytest.mark.parametrize("loss", ["broker killed", "device offline"])
def test_no_output_stays_on_when_broker_or_device_vanish(broker: Mosquitto, loss: str) -> None:
    sorter = Sorter(hold_s=LONG_S)
    with sorter.outputs, driving(broker, sorter.reader, sorter.outputs.switch):
        say_until(broker, TOPICS.event, lambda number: passed("nut", number), lambda: sorter.on)
        if loss == "broker killed":
            broker.kill()
        else:
            with Listener(broker.port) as will:
                will.publish(TOPICS.availability, "offline")
        wait_until(lambda: not sorter.on)


def test_the_output_works_again_after_the_broker_came_back(broker: Mosquitto) -> None:
    sorter = Sorter(hold_s=LONG_S)
    with sorter.outputs, driving(broker, sorter.reader, sorter.outputs.switch):
        say_until(broker, TOPICS.event, lambda number: passed("nut", number), lambda: sorter.on)
        broker.kill()
        wait_until(lambda: not sorter.on)
        broker.start()
        say_until(broker, TOPICS.event, lambda number: passed("nut", 1000 + number), lambda: sorter.on)
    assert not sorter.on


def test_a_key_is_held_and_released_with_the_broker(broker: Mosquitto) -> None:
    held: set[str] = set()
    reader = KeyReader(TOPICS, HeldKeys({"left": "KEY_LEFT"}, dead_man_s=LONG_S), "frame")
    with driving(broker, reader, lambda key, down: held.add(key) if down else held.discard(key)):
        with Listener(broker.port) as device:
            device.publish(TOPICS.label("frame"), "left", retain=True)
        assert not held
        say_until(broker, TOPICS.result("frame"), lambda _: "{}", lambda: bool(held))
        broker.kill()
        wait_until(lambda: not held)


def test_a_key_is_released_when_the_device_falls_silent(broker: Mosquitto) -> None:
    held: list[str] = []
    reader = KeyReader(TOPICS, HeldKeys({"left": "KEY_LEFT"}, dead_man_s=0.3), "frame")
    with driving(broker, reader, lambda key, down: held.append(f"{key} {down}")):
        with Listener(broker.port) as device:
            device.publish(TOPICS.label("frame"), "left", retain=True)
        say_until(broker, TOPICS.result("frame"), lambda _: "{}", lambda: bool(held))
        wait_until(lambda: len(held) >= 2)
    assert held[:2] == ["KEY_LEFT True", "KEY_LEFT False"]


def test_a_servo_goes_to_its_far_end_and_back() -> None:
    from gpiozero.pins.mock import MockFactory, MockPWMPin

    factory = MockFactory(pin_class=MockPWMPin)
    with Outputs({"bolt": Wire(6, "servo")}, factory) as outputs:
        outputs.switch("bolt", True)
        far = factory.pin(6).state
        outputs.switch("bolt", False)
        assert far > factory.pin(6).state > 0
    assert factory.pin(6).state == 0


def test_a_pin_that_cannot_be_used_is_named() -> None:
    factory = SimulatedButtons().factory
    with Outputs({"nut": Wire(5)}, factory), pytest.raises(PanelError, match="'bolt' can't use BCM 5"):
        Outputs({"bolt": Wire(5)}, factory).__enter__()


@given(st.binary() | st.dictionaries(st.text(), st.none() | st.text()).map(lambda d: json.dumps(d).encode()))
def test_any_event_is_read_or_passed_over(payload: bytes) -> None:
    reader = SortingReader(TOPICS, Sorting({}), SystemClock())
    reader.read(Incoming(TOPICS.event, payload, retained=False), 10.0)


def test_an_event_without_a_zone_or_from_another_region_plans_nothing() -> None:
    sorting = Sorting({"nut": Ejection(LONG_S, 1.0)})
    reader = SortingReader(TOPICS, sorting, SystemClock(), region="left")
    naive = (datetime.now(UTC) - timedelta(seconds=1)).replace(tzinfo=None).isoformat()
    for text in (passed("nut"), passed("nut").replace('"frame"', '"left"').replace("Z", ""), naive):
        reader.read(Incoming(TOPICS.event, text.encode(), retained=False), 10.0)
    assert sorting.next_change(10.0) is None


@pytest.mark.parametrize(
    ("script", "words"),
    [("sorter.py", ["--eject", "nut:5:0.8:0.1:crane"]), ("arcade.py", ["--key", "left"])],
)
def test_the_scripts_name_wrong_usage(script: str, words: list[str]) -> None:
    path = Path(__file__).parents[2] / "scripts" / script
    ended = subprocess.run([sys.executable, path, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "invalid" in ended.stderr


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
    sorting = Sorting({"nut": Ejection(travel_s=0.5, hold_s=1.0)})

    SortingReader(TOPICS, sorting, ManualClock()).read(
        Incoming(TOPICS.event, json.dumps(event).encode(), False), now=10.0
    )

    assert sorting.late == 0
    assert [sorting.active(at_s) for at_s in (10.2, 10.3)] == [frozenset(), {"nut"}]
