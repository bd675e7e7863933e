"""What may be a label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.errors import LabelError
from edge_daemon.labels import MAX_LABEL_CHARACTERS, check_label


@pytest.mark.parametrize("text", ["cat", "hot dog", "7", "Schraube M4", "日本", "no", " cat "])
def test_ordinary_words_are_labels(text: str) -> None:
    assert check_label(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    ["", "  ", "a/b", "a\\b", "+", "a#", "a\0b", "a\nb", "x" * 10_000, "..", "unknown", "UNKNOWN", "\u202e"],
)
def test_what_topics_folders_and_terminals_cannot_carry_is_refused(text: str) -> None:
    with pytest.raises(LabelError) as caught:
        check_label(text)
    assert len(str(caught.value)) < 120
    assert str(caught.value).isprintable()


@given(st.text())
def test_every_text_is_either_refused_or_stable(text: str) -> None:
    try:
        label = check_label(text)
    except LabelError:
        return
    assert check_label(label) == label
    assert 0 < len(label) <= MAX_LABEL_CHARACTERS
