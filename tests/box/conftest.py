"""What every check can use: the installed service, its lines, its camera, a subscriber."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.box.lines import Lines
from tests.box.scene import Scene
from tests.box.service import Service
from tests.box.subscriber import Ear, listening


@pytest.fixture(scope="session")
def ear() -> Iterator[Ear]:
    """One subscriber from the first check to the last."""
    with listening() as ear:
        yield ear


@pytest.fixture
def service() -> Service:
    """The unit under test."""
    return Service()


@pytest.fixture
def lines() -> Lines:
    """Buttons and LEDs."""
    return Lines()


@pytest.fixture
def scene() -> Scene:
    """What stands before the camera."""
    return Scene()
