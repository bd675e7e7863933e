"""Fixtures of the command line's tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.mosquitto import Mosquitto
from tests.harness.open_folders import open_to_others


@pytest.fixture(autouse=True)
def _own_log_level() -> Iterator[None]:
    """Put the log level back: a command sets it for its whole process, which here runs other tests too."""
    logger = logging.getLogger("edge_daemon")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A folder that other users can reach; pytest's own folders are private."""
    open_to_others(tmp_path)
    return tmp_path


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running
