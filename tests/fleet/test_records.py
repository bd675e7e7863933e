"""Any bytes: a record is accepted only if its device signed it for this group, device and space."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.fleet.chunks import MAX_CHUNK_BYTES, pack_records
from edge_daemon.fleet.live_set import LiveSet
from edge_daemon.fleet.records import (
    FleetMessage,
    RecordSigner,
    RejectedRecord,
    decode_message,
    dequantise,
    quantise,
)
from tests.harness.fleet_harness import KEY, SIGNER, SPACE, example

RECORD = SIGNER.sign_example("north", 7, example(1))
LIVE_SET = SIGNER.sign_live_set("north", LiveSet(9, frozenset({7, 8})))


def rejection(record: bytes, device: str = "north", signer: RecordSigner = SIGNER) -> str:
    with pytest.raises(RejectedRecord) as caught:
        signer.verify(device, record)
    return caught.value.reason


def test_a_signed_record_is_decoded_to_its_content() -> None:
    sent = replace(example(1, "größe 7"), region="left", group="held", created_at=datetime.now(UTC))
    received = SIGNER.verify("north", SIGNER.sign_example("north", 7, sent))
    assert not isinstance(received, LiveSet)
    assert (received.number, received.label, received.region, received.burst) == (
        7,
        "größe 7",
        "left",
        "held",
    )
    assert received.created_at == sent.created_at
    assert received.embedding @ sent.embedding > 0.999
    assert SIGNER.verify("north", LIVE_SET) == LiveSet(9, frozenset({7, 8}))


def test_quantisation_keeps_the_direction_and_unit_length() -> None:
    drawn = np.maximum(np.random.default_rng(1).normal(size=(50, 1280)), 0).astype(np.float32)
    for row in drawn / np.linalg.norm(drawn, axis=1, keepdims=True):
        back = dequantise(quantise(row))
        assert back @ row > 0.9999
        assert abs(float(back @ back) - 1) < 1e-6


@pytest.mark.parametrize(
    ("signer", "device", "reason"),
    [
        (RecordSigner(b"x" * 32, "sorters", SPACE), "north", "signature"),
        (RecordSigner(KEY, "others", SPACE), "north", "group"),
        (RecordSigner(KEY, "sorters", "another/model"), "north", "space"),
        (SIGNER, "south", "device"),
    ],
)
def test_a_record_of_another_key_group_space_or_device_is_rejected(
    signer: RecordSigner, device: str, reason: str
) -> None:
    assert rejection(RECORD, device, signer) == reason
    assert rejection(LIVE_SET, device, signer) == reason


def forged(**changes: object) -> bytes:
    """Return a validly signed record with invalid content, as from a faulty device with the key."""
    values = {
        "tag": "example",
        "group": "sorters",
        "device": "north",
        "space": SPACE,
        "number": 7,
        "label": "cat",
        "region": "frame",
        "burst": "",
        "created": 0,
        "embedding": b"\x01" * 8,
    }
    body = msgspec.msgpack.encode([*(values | changes).values()])
    return b"\x01" + SIGNER._mac(body) + body


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"embedding": bytes(8)}, "malformed"),
        ({"embedding": b""}, "malformed"),
        ({"embedding": [float("nan")] * 8}, "malformed"),
        ({"label": "unknown"}, "label"),
        ({"label": "a/b"}, "label"),
        ({"label": ""}, "label"),
        ({"label": "x" * 5000}, "malformed"),
        ({"number": -1}, "malformed"),
        ({"number": 2**60}, "malformed"),
        ({"created": 2**62}, "malformed"),
        ({"tag": "spell"}, "malformed"),
        ({"region": 7}, "malformed"),
    ],
)
def test_a_signed_record_with_invalid_content_is_rejected(changes: dict[str, object], reason: str) -> None:
    assert rejection(forged(**changes)) == reason
    SIGNER.verify("north", forged())


def test_a_live_set_with_numbers_above_its_own_is_rejected() -> None:
    body = msgspec.msgpack.encode(["roll", "sorters", "north", SPACE, 5, [3, 3]])
    assert rejection(b"\x01" + SIGNER._mac(body) + body) == "malformed"


def test_a_later_version_is_rejected_as_such() -> None:
    assert rejection(b"\x02" + RECORD[1:]) == "version"


@given(st.integers(0, len(RECORD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_detected(place: int, change: int) -> None:
    damaged = bytearray(RECORD)
    damaged[place] ^= change
    assert rejection(bytes(damaged)) in {"signature", "version"}


bits = st.binary(max_size=300) | st.sampled_from([RECORD, LIVE_SET, RECORD[:40], b"\x01" * 40])


@given(st.binary(max_size=500) | st.lists(bits, max_size=4).map(pack_records))
def test_any_payload_is_decoded_to_signed_records_only(payload: bytes) -> None:
    message = decode_message(SIGNER, "north", payload)
    assert {received.number for received in message.examples} <= {7}
    assert message.live_set in (None, LiveSet(9, frozenset({7, 8})))
    assert decode_message(SIGNER, "south", payload).examples == ()
    assert decode_message(SIGNER, "south", payload).live_set is None


def test_a_payload_above_the_limit_is_not_decoded() -> None:
    records = [RECORD] * (MAX_CHUNK_BYTES // len(RECORD) + 1)
    assert decode_message(SIGNER, "north", pack_records(records)) == FleetMessage(
        "north", rejections=("malformed",)
    )


def test_valid_records_of_a_chunk_are_kept_and_invalid_ones_reported() -> None:
    message = decode_message(
        SIGNER, "north", pack_records([RECORD, forged(label="a/b"), forged(number=-1), LIVE_SET])
    )
    assert [received.number for received in message.examples] == [7]
    assert message.live_set == LiveSet(9, frozenset({7, 8}))
    assert message.rejections == ("label", "malformed")


@pytest.mark.parametrize("unsigned", [b"", RECORD[:-1], b"\x02" + RECORD[1:]])
def test_decoding_stops_at_the_first_unsigned_record(unsigned: bytes) -> None:
    message = decode_message(SIGNER, "north", pack_records([RECORD, unsigned, unsigned, LIVE_SET]))
    assert [received.number for received in message.examples] == [7]
    assert (len(message.rejections), message.live_set) == (1, None)


def test_a_message_of_too_many_records_is_rejected_as_one() -> None:
    assert decode_message(SIGNER, "north", pack_records([b""] * 32_000)).rejections == ("malformed",)
