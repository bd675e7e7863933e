"""Run an official TFLite model up to its global pool, and turn its embeddings into training targets."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from .photos import PhotoSet, Pixels, cut

_POOLS = {schema.BuiltinOperator.AVERAGE_POOL_2D, schema.BuiltinOperator.MEAN}


def cut_at_pool(model_file: Path) -> bytes:
    """Return the model with its graph ended at the last global pool, so that the pool is its output."""
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(model_file.read_bytes(), 0)
    graph = model.subgraphs[0]
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
    last = max(i for i, op in enumerate(graph.operators) if codes[op.opcodeIndex] in _POOLS)
    graph.operators = graph.operators[: last + 1]
    graph.outputs = np.array(graph.operators[last].outputs[:1])
    model.signatureDefs = []
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class EmbeddingModel:
    """A TFLite model with one image input (uint8) and one embedding output, run on one thread."""

    def __init__(self, content: bytes) -> None:
        self.interpreter = Interpreter(model_content=content, num_threads=1)
        self.interpreter.allocate_tensors()
        self._input = self.interpreter.get_input_details()[0]
        self._output = self.interpreter.get_output_details()[0]
        self.size = int(self._input["shape"][1])

    def embed(self, image: Pixels) -> NDArray[np.float32]:
        """Return the raw (not unit length) embedding of one S x S x 3 image."""
        self.interpreter.set_tensor(self._input["index"], image[None])
        self.interpreter.invoke()
        raw = np.asarray(self.interpreter.get_tensor(self._output["index"]).ravel(), np.float32)
        scale, zero = self._output["quantization"]
        return raw if scale == 0 else (raw - zero) * np.float32(scale)

    def embed_all(self, images: Pixels) -> NDArray[np.float32]:
        return np.stack([self.embed(image) for image in images])


def embed_views(
    model_file: Path, photos: PhotoSet, boxes: NDArray[np.float32], target: Path, part: int, parts: int
) -> None:
    """Write the teacher's embeddings (N x V x D, float16) of every view of one part of the photos."""
    if target.exists():
        return
    model = EmbeddingModel(cut_at_pool(model_file))
    rows = []
    for count, index in enumerate(range(part, len(photos.labels), parts)):
        views = [cut(photos.pixels[index], box, model.size) for box in boxes[index]]
        rows.append(model.embed_all(np.stack(views)).astype(np.float16))
        if count % 2000 == 0:
            print(f"teacher: {photos.name} part {part}: {count}", file=sys.stderr, flush=True)
    np.save(target, np.stack(rows))
