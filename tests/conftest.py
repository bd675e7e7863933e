"""Fixtures that several folders of tests use: a store, a pipeline on a bench, a small disk, a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from edge_daemon.example_store.store import ExampleStore
from edge_daemon.pipeline.region import Region
from edge_daemon.tracking.label_smoother import LabelSmoother
from tests.harness.pipeline_harness import Bench
from tests.harness.small_disk import SmallDisk

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("edge_daemon", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edge_daemon")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExampleStore]:
    with ExampleStore(tmp_path / "examples.sqlite") as opened:
        yield opened


@pytest.fixture
def bench(store: ExampleStore) -> Bench:
    return Bench(store, (Region("frame", None, "", LabelSmoother()),))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    disk.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium a test process: its event loop keeps the thread, so that a second would fail.

    Tests that need another event loop use another thread.
    """
    from tests.harness.browser import (
        chromium,
    )  # not where Playwright is not installed, as on the emulated machine

    with chromium() as running:
        yield running
