"""Any bytes at all: a record is what its device signed for this group, device and model, or it is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.fleet.chunks import MAX_CHUNK_BYTES, packed
from edge_daemon.fleet.live_set import LiveSet
from edge_daemon.fleet.messages import FleetMessage, decode_message
from edge_daemon.fleet.records import RecordSigner, RejectedRecord, quantise, restore
from tests.harness.fleet_harness import KEY, SEAL, SPACE, example

RECORD = SEAL.sign_example("north", 7, example(1))
ROLL = SEAL.sign_roll("north", LiveSet(9, frozenset({7, 8})))


def refusal(record: bytes, device: str = "north", seal: RecordSigner = SEAL) -> str:
    with pytest.raises(RejectedRecord) as caught:
        seal.open(device, record)
    return caught.value.reason


def test_what_was_signed_is_told_again() -> None:
    sent = replace(example(1, "größe 7"), region="left", group="held", created_at=datetime.now(UTC))
    told = SEAL.open("north", SEAL.sign_example("north", 7, sent))
    assert not isinstance(told, LiveSet)
    assert (told.number, told.label, told.region, told.burst) == (7, "größe 7", "left", "held")
    assert told.created_at == sent.created_at
    assert told.embedding @ sent.embedding > 0.999
    assert SEAL.open("north", ROLL) == LiveSet(9, frozenset({7, 8}))


def test_eight_bits_lose_next_to_nothing_and_the_vector_is_unit() -> None:
    drawn = np.maximum(np.random.default_rng(1).normal(size=(50, 1280)), 0).astype(np.float32)
    for row in drawn / np.linalg.norm(drawn, axis=1, keepdims=True):
        back = restore(quantise(row))
        assert back @ row > 0.9999
        assert abs(float(back @ back) - 1) < 1e-6


@pytest.mark.parametrize(
    ("seal", "device", "reason"),
    [
        (RecordSigner(b"x" * 32, "sorters", SPACE), "north", "signature"),
        (RecordSigner(KEY, "others", SPACE), "north", "group"),
        (RecordSigner(KEY, "sorters", "another/model"), "north", "space"),
        (SEAL, "south", "device"),
    ],
)
def test_a_record_of_elsewhere_is_refused_by_its_reason(seal: RecordSigner, device: str, reason: str) -> None:
    assert refusal(RECORD, device, seal) == reason
    assert refusal(ROLL, device, seal) == reason


def forged(**changes: object) -> bytes:
    """Sign what our own device never would: someone with the key is hostile, or has a bug."""
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
    return b"\x01" + SEAL._mac(body) + body


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
def test_a_signed_record_that_makes_no_sense_is_refused(changes: dict[str, object], reason: str) -> None:
    assert refusal(forged(**changes)) == reason
    SEAL.open("north", forged())


def test_a_roll_above_its_own_number_is_refused() -> None:
    body = msgspec.msgpack.encode(["roll", "sorters", "north", SPACE, 5, [3, 3]])
    assert refusal(b"\x01" + SEAL._mac(body) + body) == "malformed"


def test_a_later_version_is_told_from_a_forgery() -> None:
    assert refusal(b"\x02" + RECORD[1:]) == "version"


@given(st.integers(0, len(RECORD) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed(place: int, change: int) -> None:
    damaged = bytearray(RECORD)
    damaged[place] ^= change
    assert refusal(bytes(damaged)) in {"signature", "version"}


bits = st.binary(max_size=300) | st.sampled_from([RECORD, ROLL, RECORD[:40], b"\x01" * 40])


@given(st.binary(max_size=500) | st.lists(bits, max_size=4).map(packed))
def test_any_payload_gives_a_parcel_of_signed_things_only(payload: bytes) -> None:
    parcel = decode_message(SEAL, "north", payload)
    assert {told.number for told in parcel.examples} <= {7}
    assert parcel.roll in (None, LiveSet(9, frozenset({7, 8})))
    assert decode_message(SEAL, "south", payload).examples == ()
    assert decode_message(SEAL, "south", payload).roll is None


def test_an_overlong_payload_is_not_read() -> None:
    records = [RECORD] * (MAX_CHUNK_BYTES // len(RECORD) + 1)
    assert decode_message(SEAL, "north", packed(records)) == FleetMessage("north", refused=("malformed",))


def test_the_good_records_of_a_chunk_are_taken_and_the_bad_ones_counted() -> None:
    parcel = decode_message(SEAL, "north", packed([RECORD, forged(label="a/b"), forged(number=-1), ROLL]))
    assert [told.number for told in parcel.examples] == [7]
    assert parcel.roll == LiveSet(9, frozenset({7, 8}))
    assert parcel.refused == ("label", "malformed")


@pytest.mark.parametrize("unsigned", [b"", RECORD[:-1], b"\x02" + RECORD[1:]])
def test_the_first_record_without_our_signature_ends_the_reading(unsigned: bytes) -> None:
    parcel = decode_message(SEAL, "north", packed([RECORD, unsigned, unsigned, ROLL]))
    assert [told.number for told in parcel.examples] == [7]
    assert (len(parcel.refused), parcel.roll) == (1, None)


def test_a_message_of_many_empty_records_is_refused_as_one() -> None:
    assert decode_message(SEAL, "north", packed([b""] * 32_000)).refused == ("malformed",)
