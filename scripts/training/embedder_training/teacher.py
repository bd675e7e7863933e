"""The teachers, quantized TFLite models, each up to its global pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from .measure import unit
from .photos import Pixels, cut

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


class Teachers:
    """Both teachers side by side, each scaled to unit length."""

    def __init__(self, *model_files: Path) -> None:
        self._models = [EmbeddingModel(cut_at_pool(file)) for file in model_files]

    def embed(self, photo: Pixels, box: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embedding of one view of a photo."""
        views = {model.size: cut(photo, box, model.size) for model in self._models}
        return np.concatenate([unit(model.embed(views[model.size])) for model in self._models])
