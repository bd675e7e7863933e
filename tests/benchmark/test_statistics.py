"""Percentiles, and the images and embeddings of the measurements."""

from __future__ import annotations

import pytest

from edge_daemon.benchmark.statistics import embeddings, percentiles, pictures


def test_images_and_embeddings_are_reproducible() -> None:
    assert (pictures()[3] == pictures()[3]).all()
    (first, label), *_ = embeddings(4, 16)
    assert label == "class 0"
    assert float(first @ first) == pytest.approx(1)
    assert percentiles([1.0, 2.0, 3.0]).p50 == 2.0
