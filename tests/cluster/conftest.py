"""A cluster of three RabbitMQ nodes for all tests of this folder, run by scripts/dev/test-cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.load_balancer import LoadBalancer
from tests.harness.rabbitmq_cluster import RabbitMqCluster

ROOT = os.environ.get("EDGE_DAEMON_RABBITMQ_ROOT", "")
"""Folder of the Debian whose RabbitMQ is tested; without it these tests are not collected."""

collect_ignore_glob = [] if ROOT else ["test_*.py"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[RabbitMqCluster]:
    with RabbitMqCluster(root=Path(ROOT)) as running:
        yield running


@pytest.fixture
def balancer(cluster: RabbitMqCluster) -> Iterator[LoadBalancer]:
    with LoadBalancer([node.port for node in cluster.nodes]) as running:
        yield running
