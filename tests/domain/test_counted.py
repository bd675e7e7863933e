from __future__ import annotations

import pytest

from edge_daemon.domain.counted import counted, percent


@pytest.mark.parametrize(("count", "text"), [(0, "0 examples"), (1, "1 example"), (2, "2 examples")])
def test_the_noun_has_the_form_of_its_number(count: int, text: str) -> None:
    assert counted(count, "example") == text


def test_an_irregular_plural_is_given() -> None:
    assert [counted(count, "class", "classes") for count in (1, 2)] == ["1 class", "2 classes"]


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [(0.0, 0, "0 %"), (0.687, 0, "69 %"), (0.6666, 1, "66.7 %"), (1, 0, "100 %")],
)
def test_a_share_is_a_percentage_with_a_space_as_on_the_page(share: float, decimals: int, text: str) -> None:
    assert percent(share, decimals) == text
