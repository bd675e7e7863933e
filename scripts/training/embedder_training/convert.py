"""Convert a checkpoint to an int8 TFLite file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from PIL import Image

from .graph import GraphBuilder, PartScales
from .photos import PhotoSet, Pixels


def background(sets: list[PhotoSet], count: int, size: int, seed: int = 0) -> Pixels:
    """Return `count` random training photos of every set, resized to size x size."""
    rng = np.random.default_rng(seed)
    photos = []
    for chosen in sets:
        for index in rng.choice(len(chosen.names), count, replace=False):
            image = Image.fromarray(chosen.pixels[index]).resize((size, size), Image.Resampling.BILINEAR)
            photos.append(np.asarray(image))
    return np.stack(photos)


def to_int8(model: Any, calibration: Pixels) -> bytes:
    """Quantise after training: int8 inside, uint8 picture in, int8 embedding out."""
    import tensorflow as tf

    def examples() -> Iterator[list[NDArray[np.float32]]]:
        for image in calibration:
            yield [image[None].astype(np.float32) / 127.5 - 1]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type, converter.inference_output_type = tf.uint8, tf.int8
    return compact(converter.convert())


class _SharingBuilder(flatbuffers.Builder):
    """Writes equal arrays once, each at an address that any processor can read it from."""

    def __init__(self) -> None:
        super().__init__(1 << 20)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self.Prep(16, x.nbytes)
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def compact(content: bytes) -> bytes:
    """Write a TFLite file again without the names of its tensors, and with equal arrays once.

    The zero points of all channels are equal: they are a fifth of a file whose layers are narrow.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    kept = {*graph.inputs.tolist(), *graph.outputs.tolist()}
    for number, tensor in enumerate(graph.tensors):
        if number not in kept:
            tensor.name = None
    model.signatureDefs = model.metadata = None
    builder = _SharingBuilder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def write(checkpoint: Path, sets: list[PhotoSet], size: int, target: Path) -> Any:
    """Write the TFLite file; return the float model it was made of."""
    with np.load(checkpoint) as arrays:
        floats = {k: v.astype(np.float32) for k, v in arrays.items()}
    builder = GraphBuilder(floats, size)
    photos = background(sets, 800, size).astype(np.float32) / 127.5 - 1
    model = builder.embedder(PartScales.fit(*builder.parts().predict(photos, batch_size=1, verbose=0)))
    # Few photos give narrow ranges: rare extremes are clipped, everything else is resolved more finely.
    target.write_bytes(to_int8(model, background(sets, 10, size, seed=1)))
    return model
