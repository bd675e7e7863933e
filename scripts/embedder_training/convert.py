"""Fit the projections of the parts, convert to int8 TFLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import cues
from .graph import Arrays, GraphBuilder
from .measure import Floats
from .photos import PhotoSet, Pixels
from .targets import whitening

#: A pooled feature this many times the mean reaches tanh(1): strong answers to new things are compressed.
COMPRESSED_ABOVE = 1.5

#: (dimensions kept, weight) of the deep, colour and edge parts.
PARTS = ((256, 1.0), (48, 0.4), (80, 0.35))


def background(sets: list[PhotoSet], count: int, size: int, seed: int = 0) -> Pixels:
    """Return `count` random training photos of every set, resized to size x size."""
    rng = np.random.default_rng(seed)
    photos = []
    for chosen in sets:
        for index in rng.choice(np.flatnonzero(~chosen.held_out), count, replace=False):
            image = Image.fromarray(chosen.pixels[index]).resize((size, size), Image.Resampling.BILINEAR)
            photos.append(np.asarray(image))
    return np.stack(photos)


def run(model: Any, images: Pixels) -> list[Floats]:
    """Run a Keras model of batch one over images; a list of its outputs, N x D each."""
    import tensorflow as tf

    call = tf.function(model)
    rows = [[np.asarray(v)[0] for v in call(image[None].astype(np.float32) / 255)] for image in images]
    return [np.stack(part) for part in zip(*rows, strict=True)]


def projection(rows: Floats, size: int, weight: float) -> tuple[Floats, Floats]:
    """Return matrix and bias that centre, partly whiten and scale a part to the mean length `weight`."""
    mean, matrix = whitening(rows, size)
    matrix *= weight / np.linalg.norm((rows - mean) @ matrix, axis=1).mean()
    return matrix, -mean @ matrix


def build(arrays: Arrays, sets: list[PhotoSet], size: int) -> Any:
    """Return the float Keras embedder."""
    photos = background(sets, 1500, size)
    builder = GraphBuilder(arrays, cues.find_palette(photos), size)
    rows = run(builder.parts(), photos)
    compression = float(1 / (COMPRESSED_ABOVE * rows[0].mean()))
    rows[0] = np.tanh(rows[0] * compression)
    fitted = [projection(part, *shape) for part, shape in zip(rows, PARTS, strict=True)]
    return builder.embedder(compression, fitted)


def to_int8(model: Any, calibration: Pixels) -> bytes:
    """Quantise after training: int8 inside, uint8 picture in, int8 embedding out."""
    import tensorflow as tf

    def examples() -> Iterator[list[NDArray[np.float32]]]:
        for image in calibration:
            yield [image[None].astype(np.float32) / 255]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type, converter.inference_output_type = tf.uint8, tf.int8
    return bytes(converter.convert())


def write(checkpoint: Path, sets: list[PhotoSet], size: int, target: Path) -> Any:
    """Write the TFLite file; return the float model it was made of."""
    with np.load(checkpoint) as arrays:
        model = build({k: v.astype(np.float32) for k, v in arrays.items()}, sets, size)
    # Few photos give narrow ranges: rare extremes are clipped, everything else is resolved more finely.
    target.write_bytes(to_int8(model, background(sets, 10, size, seed=1)))
    return model
