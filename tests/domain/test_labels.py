"""Label validation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.domain.errors import LabelError
from edge_daemon.domain.labels import MAX_LABEL_CHARACTERS, check_label


@pytest.mark.parametrize("text", ["cat", "hot dog", "7", "Schraube M4", "日本", "no", " cat "])
def test_ordinary_words_are_labels(text: str) -> None:
    assert check_label(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    ["", "  ", "a/b", "a\\b", "+", "a#", "a\0b", "a\nb", "x" * 10_000, "..", "unknown", "UNKNOWN", "\u202e"],
)
def test_characters_unfit_for_topics_folders_and_terminals_are_rejected(text: str) -> None:
    with pytest.raises(LabelError) as caught:
        check_label(text)
    assert len(str(caught.value)) < 120
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "label",
    [
        "\u0633\u06cc\u0628\u200c\u0647\u0627",  # Persian: apples
        "\u0dc1\u0dca\u200d\u0dbb\u0dd3",  # Sinhala
        "\u09b0\u200d\u09cd\u09af\u09be\u099f",  # Bengali: rat
        "\u0d15\u0d4d\u200d",  # Malayalam, a joiner at the end
        "\U0001f408\u200d\u2b1b",  # a black cat
        "\U0001f3f3\ufe0f\u200d\U0001f308",  # the rainbow flag
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
        "\U0001f642\u200d\u2194\ufe0f",  # a shaking head
        "1\ufe0f\u20e3",  # a keycap
        "\u845b\U000e0100",  # a variant of a Chinese character
        "\U0001fabf",  # a goose, newer than Python 3.11's Unicode
    ],
)
def test_joiners_that_words_and_emoji_need_are_accepted(label: str) -> None:
    assert check_label(label) == label


@pytest.mark.parametrize(
    "text",
    [
        "ca\u200ct",
        "cat\u200d",
        "\u0633\u06cc\u0628\u200c",
        "\U0001f408\u200d",
        "c\u200bat",
        "cat\ufeff",
        "so\u00adft",
        "a\ufe0f",
        "1\ufe0f",
        "\u3164",
        "\u2800",
        "a\u2066b",
        "a\u2028b",
        "a\u2029b",
        "a\x85b",
        "a\x0bb",
        "\ud800",
        "\ufffe",
        "\ue000",
        "cat\U000e0067\U000e007f",
    ],
)
def test_invisible_characters_and_line_breaks_are_rejected(text: str) -> None:
    with pytest.raises(LabelError) as caught:
        check_label(text)
    assert str(caught.value).isprintable()


def test_every_space_becomes_a_plain_space() -> None:
    assert check_label("hot\u00a0dog\u3000") == "hot dog"


def test_a_label_fits_a_file_name() -> None:
    with pytest.raises(LabelError, match="more than 255 bytes"):
        check_label("\U0001f408" * 64)


@given(st.text())
def test_every_text_is_either_rejected_or_stable(text: str) -> None:
    try:
        label = check_label(text)
    except LabelError:
        return
    assert check_label(label) == label
    assert 0 < len(label) <= MAX_LABEL_CHARACTERS
