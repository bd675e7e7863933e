"""The pools' classifiers: examples are added to the pool of their region, whole or not at all."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from edge_daemon.domain.errors import LabelError
from edge_daemon.domain.types import Example
from edge_daemon.learning.object_classifier import make_object_classifier
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.teaching.classifier_pools import SHARED_POOL, ClassifierPools
from tests.harness.unit_vectors import unit


def example(number: int, label: str = "cup", region: str = "left") -> Example:
    return Example(number, label, unit(number), "s", region, datetime(2026, 5, 1, tzinfo=UTC))


def test_regions_without_a_pool_of_their_own_and_former_regions_share_one() -> None:
    classifiers = {SHARED_POOL: make_classifier("knn"), "own": make_classifier("knn")}
    pools = ClassifierPools(classifiers, {"left": SHARED_POOL, "own": "own"}, {})
    pools.load([example(1), example(2, region="own"), example(3, region="removed")])
    assert pools.classifier("left").counts == {"cup": 2}
    assert pools.classifier("own").counts == {"cup": 1}
    assert pools.counts == {"cup": 3}
    pools.remove([1, 2])
    assert pools.counts == {"cup": 1}


def test_examples_of_former_regions_have_no_classifier_where_each_region_has_its_own() -> None:
    pools = ClassifierPools({"own": make_classifier("knn")}, {"own": "own"}, {})
    pools.load([example(1, region="removed")])
    assert pools.counts == {}
    assert not pools.accepts(example(1, region="removed"))
    assert pools.accepts(example(1, region="own"))


def test_an_example_whose_object_can_not_be_used_is_left_out_whole(caplog: pytest.LogCaptureFixture) -> None:
    objects = {SHARED_POOL: make_object_classifier("knn")}
    pools = ClassifierPools(objects, {"left": SHARED_POOL}, objects)
    damaged = replace(example(1), scene_id=1, object_embedding=np.zeros(8, np.float32))
    with caplog.at_level(logging.WARNING):
        pools.load([damaged, replace(example(2), scene_id=1, object_embedding=unit(20))])
    assert pools.counts == {"cup": 1}
    assert [line.partition(":")[0] for line in caplog.messages] == ["example 1 ('cup') is left out"]


def test_labels_that_the_classifier_can_not_use_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    pools = ClassifierPools({SHARED_POOL: make_classifier("regression")}, {"left": SHARED_POOL}, {})
    with caplog.at_level(logging.WARNING):
        pools.load([example(1, "red"), example(2, "12"), example(3, "blue"), example(4, "red")])
    assert pools.counts == {"12": 1}
    assert caplog.messages == ["the classifier can't use 'blue', 'red'; the examples stay in the store"]
    with pytest.raises(LabelError):
        pools.check("red")
    assert not pools.accepts(example(5, "red"))
