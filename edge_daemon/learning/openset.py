"""Open-set rejection: is this anything that was taught at all?"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from edge_daemon.errors import ConfigError
from edge_daemon.learning.example_set import ExampleSet, Query

Unknown: TypeAlias = float | Literal["auto", "off"]


def check_unknown(value: float | str) -> Unknown:
    """Return a usable setting or raise ConfigError."""
    if value == "auto":
        return "auto"
    if value == "off":
        return "off"
    if isinstance(value, str) or not -1 <= value <= 1:
        raise ConfigError(f"unknown must be auto, off or a similarity from -1 to 1, got {value!r}")
    return float(value)


class OpenSet:
    """Rejects a query whose nearest example is not similar enough."""

    def __init__(self, examples: ExampleSet, unknown: float | str = "auto") -> None:
        self._examples = examples
        self._version = -1
        self._threshold = -1.0
        self.unknown = check_unknown(unknown)

    def set(self, unknown: float | str) -> None:
        """Take another setting. Raises ConfigError."""
        self.unknown = check_unknown(unknown)

    def rejects(self, query: Query, nearest: float) -> bool:
        """Say whether the query is unknown; `nearest` is its similarity to the nearest example."""
        if self.unknown == "off":
            return False
        return nearest < (self._calibrated() if self.unknown == "auto" else self.unknown)

    def _calibrated(self) -> float:
        if self._version != self._examples.version:
            self._threshold = _leave_one_out_threshold(self._examples)
            self._version = self._examples.version
        return self._threshold


def _leave_one_out_threshold(examples: ExampleSet) -> float:
    if len(examples) < 2:
        return -1.0
    similarities = examples.matrix @ examples.matrix.T
    np.fill_diagonal(similarities, -1.0)
    return float(np.quantile(similarities.max(axis=1), 0.02)) - 0.02
