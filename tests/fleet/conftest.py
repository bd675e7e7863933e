"""A factory of fleet devices, closed after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.fleet_harness import Device


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Device]]:
    made: list[Device] = []

    def new(name: str, **settings: object) -> Device:
        made.append(Device(tmp_path, name, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield new
    for device in made:
        device.close()
