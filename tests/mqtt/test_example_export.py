"""Export of all examples over MQTT, in bounded parts, without delaying other messages."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from paho.mqtt.client import MQTTv5
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_daemon.app.sink_factory import export_examples
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.commands import ExportExamples, Origin
from edge_daemon.domain.errors import ArchiveError, RequestError
from edge_daemon.example_store.archive import import_archive
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.mqtt.example_export import (
    COOLDOWN_S,
    EXPIRY_S,
    PART_BYTES,
    ExampleExporter,
    ExportAnswer,
    ExportReassembler,
)
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, label_changed, wait_until
from tests.mqtt.test_schemas import validator

BASE = "edge_daemon/tray-1"
EXPORT = ExportExamples(Origin("mqtt", "examples", 7))
NOISE = os.urandom(2 * PART_BYTES + 5)


def write_noise(file: BinaryIO) -> None:
    file.write(NOISE)


def make_exporter(
    folder: Path, write: Callable[[BinaryIO], object] = write_noise, max_bytes: int = 10**6
) -> tuple[ExampleExporter, threading.Event]:
    """Return an exporter and an event that is set once its archive is ready."""
    ready = threading.Event()
    crashes: list[BaseException] = []
    return ExampleExporter(write, folder, ready.set, crashes.append, max_bytes), ready


def all_parts(exporter: ExampleExporter, max_packet: int | None = None) -> list[ExportAnswer]:
    answers = []
    while (answer := exporter.next_answer(max_packet, 0.0)) is not None:
        answers.append(answer)
    return answers


def test_the_parts_form_the_archive_and_leave_no_file(tmp_path: Path) -> None:
    exporter, ready = make_exporter(tmp_path)
    assert exporter.start(EXPORT, 0.0)
    assert ready.wait(10)
    parts = [answer.part for answer in all_parts(exporter) if answer.part is not None]
    assert [(part.part, part.parts, part.bytes) for part in parts] == [
        (number, 3, len(NOISE)) for number in (1, 2, 3)
    ]
    assert b"".join(b64decode(part.base64) for part in parts) == NOISE
    assert {part.sha256 for part in parts} == {hashlib.sha256(NOISE).hexdigest()}
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_is_killed_leaves_no_file(tmp_path: Path) -> None:
    half, release = threading.Event(), threading.Event()
    seen: list[list[Path]] = []

    def write_half(file: BinaryIO) -> None:
        file.write(NOISE)
        file.flush()
        half.set()
        release.wait(10)

    exporter, _ = make_exporter(tmp_path, write_half)
    exporter.start(EXPORT, 0.0)
    assert half.wait(10)
    seen.append(list(tmp_path.iterdir()))
    release.set()
    exporter.stop(10)
    assert seen == [[]]


def test_parts_stay_within_the_packet_limit(tmp_path: Path) -> None:
    exporter, ready = make_exporter(tmp_path)
    exporter.start(EXPORT, 0.0)
    assert ready.wait(10)
    sizes = [len(answer.part.base64) for answer in all_parts(exporter, 20_000) if answer.part]
    assert max(sizes) <= 16_000
    assert len(sizes) == 9


def test_a_packet_limit_below_the_minimum_is_an_error(tmp_path: Path) -> None:
    exporter, ready = make_exporter(tmp_path)
    exporter.start(EXPORT, 0.0)
    assert ready.wait(10)
    (answer,) = all_parts(exporter, 5_000)
    assert "5000 bytes" in answer.error


def test_one_export_at_a_time_with_a_cooldown(tmp_path: Path) -> None:
    exporter, ready = make_exporter(tmp_path)
    assert exporter.start(EXPORT, 0.0)
    assert not exporter.start(EXPORT, 1.0)
    assert ready.wait(10)
    all_parts(exporter)
    assert not exporter.start(EXPORT, COOLDOWN_S - 1)
    assert exporter.start(EXPORT, COOLDOWN_S + 1)
    exporter.stop(10)


def test_a_too_large_archive_is_an_error(tmp_path: Path) -> None:
    exporter, ready = make_exporter(tmp_path, max_bytes=50_000)
    exporter.start(EXPORT, 0.0)
    assert ready.wait(10)
    (answer,) = all_parts(exporter)
    assert "edge-daemon examples export" in answer.error
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_can_t_be_read_is_an_error(tmp_path: Path) -> None:
    def fail(file: BinaryIO) -> None:
        raise ArchiveError("the disk is full")

    exporter, ready = make_exporter(tmp_path, fail)
    exporter.start(EXPORT, 0.0)
    assert ready.wait(10)
    assert [answer.error for answer in all_parts(exporter)] == ["can't export the examples: the disk is full"]


def test_an_export_expires(tmp_path: Path) -> None:
    exporter, ready = make_exporter(tmp_path)
    exporter.start(EXPORT, 0.0)
    assert ready.wait(10)
    answer = exporter.next_answer(None, EXPIRY_S + 1)
    assert answer is not None
    assert "send the request again" in answer.error
    assert exporter.next_answer(None, EXPIRY_S + 1) is None


def fill(path: Path, count: int = 30) -> None:
    with ExampleStore(path) as store:
        for number in range(count):
            jpeg = b"\xff\xd8\xff" + os.urandom(5_000)
            store.add(np.array([1.0, number + 1.0], np.float32), "cat", space="s", thumbnail=jpeg)


def device_with_store(options: MqttOptions, folder: Path) -> Device:
    path = folder / "examples.sqlite"
    fill(path)
    return Device(
        options,
        queue_path=folder / "events.sqlite",
        write_archive=lambda to: export_examples(path, to),
    )


def test_a_subscriber_reassembles_the_archive_while_events_are_sent(
    broker: Mosquitto, options: MqttOptions, tmp_path: Path
) -> None:
    with Listener(broker.port) as listener, device_with_store(options, tmp_path) as device:
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.publish(f"{BASE}/request/examples", b'{"export": true, "transaction": "t"}')
        listener.publish(f"{BASE}/request/examples", b'{"export": true, "transaction": "u"}')
        device.sink.handle(label_changed("cat"))
        listener.wait_for(f"{BASE}/label", b"cat")
        wait_until(lambda: len(listener.texts(f"{BASE}/response/examples")) >= 5)
        answers = [json.loads(text) for text in listener.texts(f"{BASE}/response/examples")]
    (refused,) = [answer for answer in answers if answer["status"] == "error"]
    assert (refused["transaction"], refused["error"]) == ("u", "the device is busy; send the request again")
    reassembler, whole = ExportReassembler("t"), None
    for answer in answers:
        validator("response-export").validate(answer)
        whole = reassembler.add(json.dumps(answer).encode()) or whole
    assert whole is not None
    (tmp_path / "copy.zip").write_bytes(whole)
    with (
        ExampleStore(tmp_path / "copy.sqlite") as copy,
        pytest.raises(ArchiveError, match="example 0"),
    ):
        import_archive(copy, tmp_path / "copy.zip")


def test_the_parts_go_to_the_response_topic_with_the_correlation_data(
    broker: Mosquitto, options: MqttOptions, tmp_path: Path
) -> None:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic, properties.CorrelationData = "mine/answers", b"\x01"
    with Listener(broker.port, version=MQTTv5) as listener, device_with_store(options, tmp_path):
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.client.publish(f"{BASE}/request/examples", b'{"export": true}', 1, properties=properties)
        wait_until(lambda: len(listener.texts("mine/answers")) >= 4)
        first = listener.wait_for("mine/answers")
    assert first.properties["CorrelationData"] == b"\x01"


def test_a_changed_part_is_detected() -> None:
    body = {"export": "e", "part": 1, "parts": 1, "bytes": 3, "sha256": "0" * 64, "base64": "AAAA"}
    answer = {"status": "ok", "data": body, "transaction": "t"}
    with pytest.raises(RequestError, match="announced"):
        ExportReassembler("t").add(json.dumps(answer).encode())


def part_of_export(**changes: object) -> bytes:
    body = {"export": "e", "part": 1, "parts": 2, "bytes": 6, "sha256": "0" * 64, "base64": "AAAA", **changes}
    return json.dumps({"status": "ok", "data": body, "transaction": "t"}).encode()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"parts": 10**18}, "part 1 of 1000000000000000000, 6 bytes in all; one has at most 64000000"),
        ({"bytes": 10**18}, "1000000000000000000 bytes in all"),
        ({"part": 3}, "part 3 of 2"),
        ({"part": 2, "export": "other"}, "parts of two exports; send the request again"),
        ({"part": 2, "parts": 3}, "parts of two exports"),
        ({"part": 2, "base64": "AAAAAAAA"}, "longer than the announced archive"),
    ],
)
def test_a_part_that_would_be_waited_for_in_vain_is_an_error(changes: dict[str, object], fault: str) -> None:
    reassembler = ExportReassembler("t")
    assert reassembler.add(part_of_export()) is None
    assert reassembler.add(part_of_export()) is None, "a duplicate"
    with pytest.raises(RequestError, match=fault):
        reassembler.add(part_of_export(**changes))


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff", b'{"status": "ok", "transaction": "t"}'])
def test_an_invalid_part_is_an_error(payload: bytes) -> None:
    with pytest.raises(RequestError):
        ExportReassembler("t").add(payload)


def test_a_refusal_has_the_error_of_the_device() -> None:
    with pytest.raises(RequestError, match=r"^the device refused: busy$"):
        ExportReassembler("t").add(b'{"status": "error", "error": "busy", "transaction": "t"}')


def test_an_answer_to_another_request_is_ignored() -> None:
    assert ExportReassembler("t").add(b'{"status": "error", "error": "busy", "transaction": "u"}') is None
    assert (
        ExportReassembler("t").add(b'{"status": "ok", "data": {"counts": {}}, "transaction": null}') is None
    )
