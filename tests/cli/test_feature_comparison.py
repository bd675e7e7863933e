"""`edge-daemon evaluate --features`: any number of pictures, and one that is damaged."""

from __future__ import annotations

import logging
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_daemon.cli.feature_comparison import compare_features
from edge_daemon.config.schema import Config, load_config
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg
from tests.harness.shared_files import shared_path

MODEL = "models/mobilenet_v1_0.25_128_quant.tflite"
SIDE = 600


def configs(*settings: str) -> dict[str, Config]:
    words = [f"model.name={shared_path(MODEL)}", *settings]
    return {
        features: load_config(None, [*words, f"model.features={features}"])
        for features in ("embedding", "patch")
    }


def test_pictures_are_in_memory_one_at_a_time(tmp_path: Path) -> None:
    for place, label in enumerate(("a", "b")):
        (tmp_path / label).mkdir()
        for number in range(10):
            levels = np.random.default_rng([place, number]).integers(0, 255, (8, 8, 3), np.uint8)
            Image.fromarray(levels).resize((SIDE, SIDE)).save(tmp_path / label / f"{number}.png")
    list(compare_features(configs(), "embedding", tmp_path))  # imports
    tracemalloc.start()
    rows = list(compare_features(configs(), "embedding", tmp_path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows[0]["count"] == 20
    assert peak < 10 * SIDE * SIDE * 3


def test_a_damaged_picture_of_the_store_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    with ExampleStore(tmp_path / "e.sqlite") as store:
        for number in range(8):
            jpeg = encode_jpeg(rng.integers(0, 255, (60, 60, 3), np.uint8))
            vector = rng.standard_normal(8).astype(np.float32)
            store.add(
                vector / np.linalg.norm(vector),
                "ab"[number % 2],
                space="s",
                thumbnail=b"no picture" if number == 3 else jpeg,
            )
    with caplog.at_level(logging.WARNING):
        rows = list(compare_features(configs(f"store.path={tmp_path / 'e.sqlite'}"), "embedding", None))
    assert rows[0]["count"] == 7
    assert "example 4 ('b'): " in caplog.text
    assert "; left out" in caplog.text
