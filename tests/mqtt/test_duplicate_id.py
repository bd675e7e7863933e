from __future__ import annotations

import pytest

from edge_daemon.mqtt.duplicate_id import DuplicateDeviceDetector
from edge_daemon.mqtt.message import Incoming


def said(twin: DuplicateDeviceDetector, payload: bytes, retained: bool = True) -> str | None:
    return twin.take(Incoming("b/info", payload, retained))


def test_an_earlier_life_is_no_twin() -> None:
    twin = DuplicateDeviceDetector("b/info", "mine")
    assert said(twin, b'{"instance": "earlier"}') is None
    assert said(twin, b'{"instance": "mine"}', retained=False) is None
    assert said(twin, b'{"instance": "mine"}') is None


def test_another_s_info_where_ours_stood_is_a_twin() -> None:
    twin = DuplicateDeviceDetector("b/info", "mine")
    said(twin, b'{"instance": "mine"}', retained=False)
    assert (
        said(twin, b'{"instance": "other"}') == "another device speaks at b/info; give each its own device.id"
    )


def test_another_that_speaks_now_is_a_twin() -> None:
    assert said(DuplicateDeviceDetector("b/info", "mine"), b'{"instance": "other"}', retained=False)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"\xff", b'{"instance": 3}', b"{}", b"[" * 9000])
def test_any_bytes_are_no_crash(payload: bytes) -> None:
    assert said(DuplicateDeviceDetector("b/info", "mine"), payload, retained=False) is None


def test_other_topics_are_none_of_its_business() -> None:
    assert (
        DuplicateDeviceDetector("b/info", "mine").take(Incoming("b/label", b'{"instance": "x"}', False))
        is None
    )
