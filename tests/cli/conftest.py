"""Fixtures of the command line's tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _own_log_level() -> Iterator[None]:
    """Put the log level back: a command sets it for its whole process, which here runs other tests too."""
    logger = logging.getLogger("edge_daemon")
    level = logger.level
    yield
    logger.setLevel(level)
