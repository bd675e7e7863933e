from __future__ import annotations

import pytest

from edge_daemon.domain.counted import counted


@pytest.mark.parametrize(("count", "text"), [(0, "0 examples"), (1, "1 example"), (2, "2 examples")])
def test_the_noun_has_the_form_of_its_number(count: int, text: str) -> None:
    assert counted(count, "example") == text


def test_an_irregular_plural_is_given() -> None:
    assert [counted(count, "class", "classes") for count in (1, 2)] == ["1 class", "2 classes"]
