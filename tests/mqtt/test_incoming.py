from __future__ import annotations

import pytest

from edge_daemon.mqtt.incoming import DuplicateDeviceDetector
from edge_daemon.mqtt.message import Incoming


def warning(detector: DuplicateDeviceDetector, payload: bytes, retained: bool = True) -> str | None:
    return detector.check(Incoming("b/info", payload, retained))


def test_an_earlier_run_is_no_duplicate() -> None:
    detector = DuplicateDeviceDetector("b/info", "mine")
    assert warning(detector, b'{"instance": "earlier"}') is None
    assert warning(detector, b'{"instance": "mine"}', retained=False) is None
    assert warning(detector, b'{"instance": "mine"}') is None


def test_the_retained_info_of_another_instance_is_a_duplicate() -> None:
    detector = DuplicateDeviceDetector("b/info", "mine")
    for _ in range(2):  # two connections, the first of which may find what a broker has restored
        found = warning(detector, b'{"instance": "other"}')
        assert found is None
        warning(detector, b'{"instance": "mine"}', retained=False)
    assert (
        warning(detector, b'{"instance": "other"}')
        == "another device publishes at b/info; give each its own device.id"
    )


def test_other_instances_that_take_turns_are_duplicates() -> None:
    detector = DuplicateDeviceDetector("b/info", "mine")
    found = []
    for other in (b"one", b"two", b"one", b"two"):
        found.append(warning(detector, b'{"instance": "%s"}' % other))
        warning(detector, b'{"instance": "mine"}', retained=False)
    assert [text is not None for text in found] == [False, False, False, True]


def test_an_earlier_run_that_a_broker_has_restored_is_no_duplicate() -> None:
    detector = DuplicateDeviceDetector("b/info", "mine")
    assert warning(detector, b'{"instance": "earlier"}') is None
    warning(detector, b'{"instance": "mine"}', retained=False)
    assert warning(detector, b'{"instance": "earlier"}') is None
    warning(detector, b'{"instance": "mine"}', retained=False)
    assert warning(detector, b'{"instance": "mine"}') is None


def test_a_live_info_of_another_instance_is_a_duplicate() -> None:
    assert warning(DuplicateDeviceDetector("b/info", "mine"), b'{"instance": "other"}', retained=False)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"\xff", b'{"instance": 3}', b"{}", b"[" * 9000])
def test_any_bytes_are_ignored(payload: bytes) -> None:
    assert warning(DuplicateDeviceDetector("b/info", "mine"), payload, retained=False) is None


def test_other_topics_are_ignored() -> None:
    assert (
        DuplicateDeviceDetector("b/info", "mine").check(Incoming("b/label", b'{"instance": "x"}', False))
        is None
    )
