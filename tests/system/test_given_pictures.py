"""The slot for pictures that a browser gives."""

from __future__ import annotations

from edge_daemon.system.picture_slot import PictureSlot


def test_the_latest_picture_is_given_once() -> None:
    pictures = PictureSlot("nobody")
    assert pictures.pop(0) is None
    pictures.put(b"first", 1.0)
    pictures.put(b"second", 2.0)
    assert pictures.is_given
    assert pictures.pop(0) == (2.0, b"second")
    assert pictures.pop(0) is None


def test_an_end_drops_the_picture_and_is_reported_once_without_a_wait() -> None:
    pictures = PictureSlot("nobody")
    pictures.put(b"first", 1.0)
    pictures.end("asleep")
    assert pictures.pop(3600) is None
    assert (pictures.reason, pictures.is_given) == ("asleep", False)
    assert pictures.pop(0) is None
