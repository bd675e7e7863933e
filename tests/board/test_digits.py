"""Numbers in texts that come from outside."""

from __future__ import annotations

import pytest

from edge_daemon.board.digits import read_digits


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_ascii_digits_are_a_number(text: str, number: int) -> None:
    assert read_digits(text) == number


@pytest.mark.parametrize("text", ["", "²", "1²", "٣", "-1", "+1", " 1", "1\n", "1_0", "9" * 19, "9" * 5000])
def test_anything_else_is_none(text: str) -> None:
    assert read_digits(text) is None


def test_the_number_of_digits_can_be_given() -> None:
    assert read_digits("65535", 5) == 65535
    assert read_digits("655350", 5) is None
    assert read_digits("9" * 4096, 4096) is not None
