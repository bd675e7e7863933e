"""The recommendation for this board, from a measured model, the known models and those on disk."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.board.identity import read_board
from edge_daemon.models.recommendation import ModelRecommendation, recommend, unit_time
from edge_daemon.models.registry import (
    DEFAULT_MODEL,
    Manifest,
    find_model,
    installed_models,
    shipped_manifests,
)
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tflite.inspection import inference_ms

MEASURED_S = 2.0
SHORT_S = 0.3
"""Longest measurement of a model: for a choice of it, and for a hint in passing."""


def known_manifest(name: str) -> Manifest | None:
    """Return the manifest of a known model; None for another one."""
    return next((manifest for manifest in shipped_manifests() if manifest.name == name), None)


def measure_shipped_ms(seconds: float = MEASURED_S) -> float:
    """Measure the shipped model for at most this time; return the median time of one inference."""
    return inference_ms(TfliteEmbedder(find_model(DEFAULT_MODEL)), seconds)


def advise(
    measured: str, measured_ms: float, *, offline: bool = False, root: Path = Path("/")
) -> ModelRecommendation:
    """Return the recommendation for this board, from the time of one inference of the model `measured`.

    A model without a known cost gives no estimate of the others: only the shipped one is recommended then.
    """
    manifests = list(shipped_manifests())
    manifest = next((each for each in manifests if each.name == measured), None)
    unit_ms = None if manifest is None else unit_time(manifest, measured_ms)
    board = read_board(root)
    return recommend(board, manifests, installed_models(), DEFAULT_MODEL, unit_ms, offline=offline)
