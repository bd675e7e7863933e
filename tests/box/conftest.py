"""Fixtures of the checks: the installed service, its GPIO lines, its camera, a subscriber."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.box.lines import Lines
from tests.box.scene import Scene
from tests.box.service import Service
from tests.box.subscriber import Subscriber, subscribed


@pytest.fixture(scope="session")
def subscriber() -> Iterator[Subscriber]:
    """One subscriber from the first check to the last."""
    with subscribed() as subscriber:
        yield subscriber


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
    """The scene in front of the camera."""
    return Scene()
