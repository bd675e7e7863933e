from __future__ import annotations

import pytest

from edge_daemon.domain.events import ExamplesChanged, FleetSnapshot
from edge_daemon.fleet.live_set import LiveSet
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.mqtt.fleet_limits import CALM_S, FleetLimits
from edge_daemon.mqtt.fleet_link import WINDOW, FleetLink
from edge_daemon.mqtt.message import Message
from tests.harness.fleet_harness import SIGNER, example
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_harness import wait_until
from tests.mqtt.test_fleet_link import FleetDevice, numbers


def sent(link: FleetLink) -> list[Message]:
    """Return all messages that a link sends now."""
    return list(iter(lambda: link.next(WINDOW), None))


def test_unknown_devices_share_one_rate_limit_and_a_trusted_one_has_its_own() -> None:
    limits = FleetLimits(max_peers=5)
    limits.trust("real")
    allowed = sum(limits.allows(f"invented{number}", 100.0) for number in range(1000))
    assert allowed == 20
    assert all(limits.allows("real", 100.0) for _ in range(500))
    assert sum(limits.allows("invented0", 110.0) for _ in range(1000)) == 20


def test_dropped_messages_are_requested_again_once_after_30_s_without_another() -> None:
    limits = FleetLimits(max_peers=1)
    while limits.allows("x", 100.0):
        pass
    assert not limits.pop_calm(100.0 + CALM_S - 1)
    assert limits.pop_calm(100.0 + CALM_S)
    assert not limits.pop_calm(200.0)


def test_each_reason_is_logged_at_most_once_a_minute_for_all_devices() -> None:
    limits = FleetLimits(max_peers=5)
    logged = [limits.may_log(f"invented{number}", "signature", 100.0 + number / 10) for number in range(1200)]
    assert 2 <= sum(logged) <= 3
    assert limits.may_log("north", "space", 100.0)
    assert not limits.may_log("north", "space", 900.0), "logged once until it sends a valid message"
    limits.trust("north")
    assert limits.may_log("north", "space", 1800.0)


def test_the_number_of_remembered_devices_is_bounded() -> None:
    limits = FleetLimits(max_peers=2)
    for number in range(100):
        limits.trust(f"device{number}")
        limits.may_log(f"device{number}", "label", 1000.0 * number)
    assert len(limits._known) <= 8
    assert len(limits._logged) <= 64


def test_a_chunk_that_was_rejected_as_too_large_is_not_sent_after_a_reconnect() -> None:
    link = FleetLink("north", SIGNER, ReceiveQueue())
    numbers = range(1, 20)
    records = {each: SIGNER.sign_example("north", each, example(each, size=1280)) for each in numbers}
    live_set = SIGNER.sign_live_set("north", LiveSet(20, frozenset(numbers)))
    link.set_snapshot(FleetSnapshot(live_set, records))
    link.connected(None)
    _, chunk, *_ = sent(link)
    link.sent(1, chunk)
    link.rejected_as_too_large(1)
    for _ in range(2):
        assert max(len(message.payload) for message in sent(link)) <= len(chunk.payload) // 2
        link.connected(None)


def test_chunks_stay_within_a_limit_that_another_message_has_found(caplog: pytest.LogCaptureFixture) -> None:
    with Mosquitto(settings="message_size_limit 4000") as broker, FleetDevice(broker, "north") as north:
        north.sink.handle(ExamplesChanged({f"{number:060}": 1 for number in range(100)}))
        wait_until(lambda: "bytes at most" in caplog.text)
        north.publish(*range(1, 8), size=1280)
        with FleetDevice(broker, "east") as east:
            received = east.messages(1)
            while numbers(received) != set(range(1, 8)):
                received += east.messages(1)
