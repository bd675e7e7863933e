"""Fixtures of the tests beside this file: a store and a pipeline on a bench."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from edge_daemon.example_store.store import ExampleStore
from edge_daemon.pipeline.region import Region
from edge_daemon.tracking.label_smoother import LabelSmoother
from tests.harness.pipeline_harness import Bench
from tests.harness.small_disk import SmallDisk

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
