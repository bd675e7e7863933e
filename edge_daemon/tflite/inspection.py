"""Report on a model file: tensors, operators, feature layers, delegate coverage and inference time."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_daemon.domain.errors import EdgeError, ModelError
from edge_daemon.tflite.embedder import ListedOperator, TfliteEmbedder, read_model
from edge_daemon.tflite.feature_layer import FeatureName, find_feature_layer
from edge_daemon.tflite.graph import Graph, Tensor, read_graph
from edge_daemon.tflite.interpreter import is_external, runtime
from edge_daemon.tflite.model_check import image_input

INSPECTED_FEATURES: tuple[FeatureName, ...] = ("embedding", "logits", "probabilities")
TIMED_S = 1.0


@dataclass(frozen=True, slots=True)
class FeatureLayerInfo:
    """A readable feature layer: its vector length and its place in the graph."""

    size: int
    why: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """Report on a model file. `problem` is the reason it can't be used and the remedy, or None.

    `input_range` is the range that the model gets for black to white, and its source. `features` holds each
    feature layer, or the reason it can't be read. `operators` counts the operators of the whole graph.
    `undelegated` counts those up to the embedding that the delegate left to the builtin kernels.
    `undelegated` and `inference_ms` (median, one picture of the input's size) are None if it did not run.
    """

    bytes: int
    sha256: str
    runtime: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: Mapping[str, int]
    features: Mapping[FeatureName, FeatureLayerInfo | str]
    problem: str | None
    space: str | None = None
    input_range: str | None = None
    undelegated: Mapping[str, int] | None = None
    inference_ms: float | None = None


def inspect(path: Path, threads: int = 1, delegate: str = "auto") -> Inspection:
    """Read a model file and run it, in a child process first. Raises ModelError when it isn't TFLite."""
    try:
        content = read_model(path)
        graph = read_graph(content)
    except ModelError as exc:
        raise ModelError(f"{path}: {exc}") from exc
    features = {name: _feature_layer_info(graph, name) for name in INSPECTED_FEATURES}
    problem, embedder = _load(path, graph, features, threads, delegate)
    return Inspection(
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        runtime=runtime(),
        inputs=tuple(graph.tensors[i] for i in graph.inputs),
        outputs=tuple(graph.tensors[i] for i in graph.outputs),
        operators=dict(Counter(step.name for step in graph.operators)),
        features=features,
        problem=problem,
        space=embedder.space if embedder else None,
        input_range=str(embedder.input_range) if embedder else None,
        undelegated=dict(Counter(undelegated_operators(embedder.listed_operators()))) if embedder else None,
        inference_ms=inference_ms(embedder) if embedder else None,
    )


def undelegated_operators(listed_operators: Sequence[ListedOperator]) -> list[str]:
    """Return the names of the operators that no delegate replaced.

    The interpreter still lists replaced operators, followed by the DELEGATE operators. The walk goes back
    from the last operator's result: a tensor that a DELEGATE operator produces is delegated, any other one
    comes from a builtin kernel.
    """
    delegated = {tensor: op for op in listed_operators if op.name == "DELEGATE" for tensor in op.outputs}
    plain = {tensor: op for op in listed_operators if op.name != "DELEGATE" for tensor in op.outputs}
    last = [op for op in listed_operators if op.name != "DELEGATE"][-1:]
    pending, seen, undelegated = [tensor for op in last for tensor in op.outputs], set[int](), list[str]()
    while pending:
        tensor = pending.pop()
        producer = delegated.get(tensor) or plain.get(tensor)
        if producer is None or tensor in seen:
            continue
        seen.update(producer.outputs)
        pending += producer.inputs
        if producer.name != "DELEGATE":
            undelegated.append(producer.name)
    return undelegated


def _feature_layer_info(graph: Graph, name: FeatureName) -> FeatureLayerInfo | str:
    try:
        layer = find_feature_layer(graph, name)
    except ModelError as exc:
        return str(exc)
    shape = graph.tensors[layer.tensor].shape
    return FeatureLayerInfo(shape[-1] if shape else 1, layer.why)


def _load(
    path: Path,
    graph: Graph,
    features: Mapping[FeatureName, FeatureLayerInfo | str],
    threads: int,
    delegate: str,
) -> tuple[str | None, TfliteEmbedder | None]:
    """Load the model with the first readable feature layer. Return the problem, or the loaded model."""
    readable = [name for name in INSPECTED_FEATURES if isinstance(features[name], FeatureLayerInfo)]
    chosen = readable[0] if readable else INSPECTED_FEATURES[0]
    try:
        image_input(graph, is_external(delegate))
        return None, TfliteEmbedder(path, threads, delegate, chosen)
    except EdgeError as exc:
        return str(exc).removeprefix(f"{path}: "), None


def inference_ms(embedder: TfliteEmbedder, seconds: float = TIMED_S) -> float:
    """Return the median time of one inference on a picture of the input size, in at most `seconds`."""
    height, width, _ = embedder.input_shape
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    embedder.embed(picture)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < seconds and len(times) < 200 * seconds):
        started = time.perf_counter()
        embedder.embed(picture)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000
