"""Accuracy of the running model, and the better one for this board, as a line of the health checks."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from edge_daemon.models.advice import advise, known_manifest
from edge_daemon.models.recommendation import Choice, describe_quality

_EVERY_S = 60.0


class ModelQuality:
    """Describes a model by its name. Used from the page's thread alone.

    The time from a frame's capture to its label stands for the time of an inference, which is a part of it:
    a model that is recommended so is never slower than estimated. The advice is kept for a minute.
    """

    def __init__(self, model: str, root: Path = Path("/")) -> None:
        self._model = model
        self._root = root
        self._manifest = known_manifest(model)
        self._better: Choice | None = None
        self._next_s = float("-inf")

    def describe(self, now_s: float, latencies_ms: Sequence[float]) -> str:
        """Return accuracy, latency and the better model; parts that are not known are left out."""
        parts = [describe_quality(self._manifest)] if self._manifest else []
        if latencies_ms:
            latency_ms = statistics.median(latencies_ms)
            parts.append(f"{latency_ms:.0f} ms from capture to label")
            self._advise(now_s, latency_ms)
        if self._better:
            parts.append(f"better: edge-daemon models use {self._better.name}")
        return "; ".join(parts)

    def _advise(self, now_s: float, latency_ms: float) -> None:
        if self._manifest is not None and now_s >= self._next_s:
            self._next_s = now_s + _EVERY_S
            self._better = advise(self._model, latency_ms, root=self._root).better_than(self._model)
