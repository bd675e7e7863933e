"""Say all about a model file that decides whether and how well it runs here."""

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
from edge_daemon.tflite.embedder import Operation, TfliteEmbedder, read_model
from edge_daemon.tflite.feature_layer import FeatureName, find_feature_layer
from edge_daemon.tflite.graph import Graph, Tensor, read_graph
from edge_daemon.tflite.interpreter import is_external, runtime
from edge_daemon.tflite.model_check import image_input

TAPS: tuple[FeatureName, ...] = ("embedding", "logits", "probabilities")
_TIMED_S = 1.0


@dataclass(frozen=True, slots=True)
class FeatureLayerInfo:
    """A tap that can be read: how many numbers, and where."""

    size: int
    why: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a model file is. `problem` says why it can't be used here and what to do, None when it can.

    `input_range` is what the model gets for black and white, and what says so.
    `taps` holds facts or the reason a tap can't be read. `operators` counts the whole graph;
    `undelegated` those up to the embedding that the delegate left to the plain kernels; it and
    `inference_ms` (median, one picture of the model's own size) are None where the model did not run.
    """

    bytes: int
    sha256: str
    runtime: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: Mapping[str, int]
    taps: Mapping[FeatureName, FeatureLayerInfo | str]
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
    taps = {name: _tap_facts(graph, name) for name in TAPS}
    problem, embedder = _try(path, graph, taps, threads, delegate)
    return Inspection(
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        runtime=runtime(),
        inputs=tuple(graph.tensors[i] for i in graph.inputs),
        outputs=tuple(graph.tensors[i] for i in graph.outputs),
        operators=dict(Counter(step.name for step in graph.operators)),
        taps=taps,
        problem=problem,
        space=embedder.space if embedder else None,
        input_range=str(embedder.input_range) if embedder else None,
        undelegated=dict(Counter(left_over(embedder.operations()))) if embedder else None,
        inference_ms=_inference_ms(embedder) if embedder else None,
    )


def left_over(operations: Sequence[Operation]) -> list[str]:
    """Return the names of the operators that no delegate replaced.

    The interpreter lists the replaced ones still, with the delegates' own behind them. A delegate makes
    the tensors it hands on, so the list is walked back from the last operator's result: what a
    delegate makes is its, what is left has to come from a plain kernel.
    """
    delegated = {tensor: op for op in operations if op.name == "DELEGATE" for tensor in op.outputs}
    plain = {tensor: op for op in operations if op.name != "DELEGATE" for tensor in op.outputs}
    last = [op for op in operations if op.name != "DELEGATE"][-1:]
    waiting, seen, left = [tensor for op in last for tensor in op.outputs], set[int](), list[str]()
    while waiting:
        tensor = waiting.pop()
        maker = delegated.get(tensor) or plain.get(tensor)
        if maker is None or tensor in seen:
            continue
        seen.update(maker.outputs)
        waiting += maker.inputs
        if maker.name != "DELEGATE":
            left.append(maker.name)
    return left


def _tap_facts(graph: Graph, name: FeatureName) -> FeatureLayerInfo | str:
    try:
        tap = find_feature_layer(graph, name)
    except ModelError as exc:
        return str(exc)
    shape = graph.tensors[tap.tensor].shape
    return FeatureLayerInfo(shape[-1] if shape else 1, tap.why)


def _try(
    path: Path, graph: Graph, taps: Mapping[FeatureName, FeatureLayerInfo | str], threads: int, delegate: str
) -> tuple[str | None, TfliteEmbedder | None]:
    """Load the model at the first tap that can be read; what is wrong, or the loaded model."""
    tap = next((name for name in TAPS if isinstance(taps[name], FeatureLayerInfo)), TAPS[0])
    try:
        image_input(graph, is_external(delegate))
        return None, TfliteEmbedder(path, threads, delegate, tap)
    except EdgeError as exc:
        return str(exc).removeprefix(f"{path}: "), None


def _inference_ms(embedder: TfliteEmbedder) -> float:
    height, width, _ = embedder.input_shape
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    embedder.embed(picture)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < _TIMED_S and len(times) < 200):
        started = time.perf_counter()
        embedder.embed(picture)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000
