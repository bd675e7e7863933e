"""The buffer of uncertain samples: pictures and capacity."""

from __future__ import annotations

from functools import partial

import numpy as np

from edge_daemon.domain.types import UNKNOWN, Frame, Observation, Prediction
from edge_daemon.imaging.image_io import scale_down
from edge_daemon.learning.quality.uncertain_samples import UncertainSamples
from edge_daemon.system.testing import ManualClock


def test_samples_hold_small_pictures_and_no_frame() -> None:
    clock = ManualClock()
    samples = UncertainSamples(partial(scale_down, size=224), size=2)
    for seq in range(3):
        clock.advance(2)
        frame = Frame(np.full((480, 640, 3), seq, np.uint8), seq, clock.monotonic(), clock.utc())
        observation = Observation("frame", frame, frame.image[:, 80:560], np.ones(2, np.float32))
        assert samples.offer(observation, Prediction(UNKNOWN, {"cat": 1.0}, 0.5)) is not None
    assert samples.get(1) is None
    kept = [sample.observation for sample in (samples.get(2), samples.get(3)) if sample is not None]
    assert [observation.frame.seq for observation in kept] == [1, 2]
    for observation in kept:
        assert observation.crop.shape == (224, 224, 3)
        assert observation.frame.image is observation.crop
