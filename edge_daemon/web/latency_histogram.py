"""Histogram of the latency from capture to label, per region."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from msgspec import Struct

from edge_daemon.domain.events import Classified

BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5)
"""Range from a small model on a desktop processor to a large one on a Raspberry Pi Zero."""


class RegionLatency(Struct):
    """Latencies of a region. `counts` has one number per bucket, and the number of larger latencies."""

    created: float
    counts: list[int]
    sum_s: float = 0.0

    def cumulated(self) -> list[int]:
        """Return the number of latencies up to each bucket's bound; the last one is that of all."""
        return list(accumulate(self.counts))


class LatencyHistogram:
    """Latency from capture to label, per region. Used from the page's thread alone."""

    def __init__(self) -> None:
        self._regions: dict[str, RegionLatency] = {}

    def observe(self, event: Classified) -> None:
        """Count one classified frame."""
        region = self._regions.get(event.region)
        if region is None:
            region = RegionLatency(time.time(), [0] * (len(BUCKETS_S) + 1))
            self._regions[event.region] = region
        latency_s = event.latency_ms / 1000
        region.counts[bisect_left(BUCKETS_S, latency_s)] += 1
        region.sum_s += latency_s

    def regions(self) -> Iterator[tuple[str, RegionLatency]]:
        """Yield each region and its latencies."""
        yield from self._regions.items()
