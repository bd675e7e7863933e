from __future__ import annotations

import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.imaging.input_range import InputRange, parse_range, range_of_normalisation


@pytest.mark.parametrize("text", ["-1..1", "0..255", "1..0", "-2.5..2.75", "-2.1..2.2,-2..2.4,-1.8..2.6"])
def test_a_range_reads_back_as_it_is_written(text: str) -> None:
    assert str(parse_range(text)) == text


def test_three_equal_channels_are_one_range() -> None:
    assert parse_range("0..1,0..1,0..1") == InputRange((0.0,), (1.0,))


@pytest.mark.parametrize(
    "text",
    ["", "255", "0..", "a..b", "3..3", "0..1,0..1", "nan..1", "0..1;2", "0..1e999", "-1e308..1e308"],
)
def test_an_invalid_range_is_named_with_a_valid_one(text: str) -> None:
    with pytest.raises(ModelError, match=r"is no input range; write .* such as 0\.\.255"):
        parse_range(text)


@pytest.mark.parametrize(
    ("mean", "std", "wanted"),
    [
        ([127.5], [127.5], "-1..1"),
        ([127.0], [128.0], "-1..1"),
        ([0.0], [255.0], "0..1"),
        ([0.0, 0.0, 0.0], [1.0], "0..255"),
        ([103.0], [1.0], "-103..152"),
    ],
)
def test_mean_and_deviation_of_pixels_as_a_range(mean: list[float], std: list[float], wanted: str) -> None:
    assert str(range_of_normalisation(mean, std)) == wanted


def test_means_of_three_channels_stay_separate() -> None:
    found = range_of_normalisation([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
    assert found is not None
    assert found.black == pytest.approx((-2.118, -2.036, -1.804), abs=0.001)
    assert found.white == pytest.approx((2.249, 2.429, 2.640), abs=0.001)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ([], []),
        ([127.5], []),
        ([0.0], [0.0]),
        ([0.0], [-1.0]),
        ([float("nan")], [1.0]),
        ([0.0], [1e-320]),
        ([0.0] * 2, [1.0] * 2),
    ],
)
def test_invalid_mean_or_deviation_gives_no_range(mean: list[float], std: list[float]) -> None:
    assert range_of_normalisation(mean, std) is None
