"""Allocations per frame with a fitted classifier: at most the size of the model's input at once, no growth.

The clock stands still, because an uncertain frame is kept as a small image, at most once a second.
"""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.app.build import build_pipeline
from edge_daemon.benchmark.statistics import embeddings
from edge_daemon.config.schema import load_config
from edge_daemon.domain.types import Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.system.testing import ManualClock
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.shared_files import shared_path

CLOCK = ManualClock()
FRAMES = 400
WARM_UP = 600
"""Frames after which the classifier is fitted to 1,000 examples and its selection is complete."""

MODELS = ["mobilenet_v1_0.25_128_quant", "tf2_mobilenet_v2_1.0_224_ptq"]


@pytest.fixture(params=MODELS)
def warm_pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Pipeline, int]:
    """Return a warm pipeline with 1,000 examples, and the size of its model's input in bytes."""
    model = shared_path(f"models/{request.param}.tflite")
    embedder = TfliteEmbedder(model, probe_first=False)
    store_path = tmp_path / "examples.sqlite"
    with ExampleStore(store_path) as store, store.transaction():
        for vector, label in embeddings(1000, embedder.size):
            store.add(vector, label, space=embedder.space)
    words = [f"model.name={model}", "mqtt.host=null", f"store.path={store_path}", "camera.type=replay"]
    pipeline = build_pipeline(load_config(None, [*words, "camera.path=."]), CLOCK)
    for seq in range(WARM_UP):
        list(pipeline.process(frame(seq), ()))
    height, width, channels = embedder.input_shape
    return pipeline, height * width * channels


def frame(seq: int) -> Frame:
    picture = np.full((480, 640, 3), seq % 200, np.uint8)
    return Frame(picture, seq, CLOCK.monotonic(), CLOCK.utc())


def test_a_frame_allocates_no_more_at_once_than_the_models_input_and_leaves_nothing(
    warm_pipeline: tuple[Pipeline, int],
) -> None:
    pipeline, input_bytes = warm_pipeline
    shown = [frame(seq) for seq in range(20, 40)]
    gc.collect()
    tracemalloc.start()
    try:
        for one in shown:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            list(pipeline.process(one, ()))
            peak = tracemalloc.get_traced_memory()[1] - before
            # The input itself, and the numbers and events made from it.
            assert peak <= 1.25 * input_bytes
        assert _left_by_a_frame(pipeline, shown[0]) < 32, (
            "less than one number per frame: Python's free lists"
        )
    finally:
        tracemalloc.stop()
        pipeline.close()


def _left_by_a_frame(pipeline: Pipeline, one: Frame) -> float:
    """Return the bytes that stay allocated after a frame, the mean of many."""
    for _ in range(100):
        list(pipeline.process(one, ()))
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(FRAMES):
        list(pipeline.process(one, ()))
    gc.collect()
    return (tracemalloc.get_traced_memory()[0] - before) / FRAMES
