"""Where in a graph the embedding is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from edge_daemon.domain.errors import ModelError
from edge_daemon.tflite.graph import Graph, Operator

FeatureName: TypeAlias = Literal["embedding", "logits", "probabilities", "pixels"]

POOLS = {"AVERAGE_POOL_2D", "MEAN"}
CLASSIFIERS = {"CONV_2D", "FULLY_CONNECTED"}
ACTIVATIONS = {"SOFTMAX", "LOGISTIC"}
_SHAPES = {"RESHAPE", "SQUEEZE", "QUANTIZE", "DEQUANTIZE"}
_POINTWISE = {"RELU", "RELU6", "ADD", "MUL", "SUB", "HARD_SWISH", "LEAKY_RELU"}


@dataclass(frozen=True, slots=True)
class FeatureLayer:
    """The tensor to read; `why` is a phrase that follows "the tap is".

    A tensor with height and width is averaged over both by the reader. `needs_softmax`: the tensor
    holds logits where probabilities were asked for.
    """

    tensor: int
    why: str
    needs_softmax: bool = False


@dataclass(frozen=True, slots=True)
class _Step:
    operator: Operator
    computed: int
    """The operator's only computed input, -1 when it has none or several."""


def find_feature_layer(graph: Graph, name: FeatureName) -> FeatureLayer:
    """Return where `name` is read. Raises ModelError naming what was found instead."""
    tail, body = _split(_walk_back(graph))
    if name == "embedding":
        return _embedding(graph, tail, body)
    activation = next((step for step in tail if step.operator.name in ACTIVATIONS), None)
    classes = activation or _ends_in_classifier(graph, body) or _pools_classes(body)
    if name == "probabilities" and not classes:
        raise ModelError("an embedder without classes; use model.features embedding, or a classifier")
    if name == "logits" and activation is not None:
        if activation.computed < 0:
            raise ModelError(_nothing_found(tail))
        return FeatureLayer(activation.computed, f"the input of the last {activation.operator.name}")
    return FeatureLayer(graph.outputs[0], "the model's output", needs_softmax=activation is None)


def ends_in_classes(graph: Graph) -> bool:
    """Whether the graph ends in a softmax, a logistic, or a layer that gives one number for each class."""
    tail, body = _split(_walk_back(graph))
    return any(step.operator.name in ACTIVATIONS for step in tail) or _ends_in_classifier(graph, body)


def _embedding(graph: Graph, tail: list[_Step], body: list[_Step]) -> FeatureLayer:
    """Return the pool before the classifier layers, else the input of the last of them, else the logits."""
    if _ends_in_classifier(graph, body):
        return _before_classifier(graph, body)
    normalised = any(step.operator.name in ACTIVATIONS for step in tail)
    names = [step.operator.name for step in body]
    if names and not normalised and _is_flat(graph, graph.outputs[0]):
        return FeatureLayer(
            graph.outputs[0], f"the output itself: the model ends in {names[0]}, it is an embedder"
        )
    if len(body) > 1 and names[0] in POOLS and names[1] in CLASSIFIERS:
        return FeatureLayer(
            body[1].computed, f"the input of the last {names[1]}, averaged as the model averages its classes"
        )
    scores = next((s.computed for s in tail if s.operator.name in ACTIVATIONS and s.computed >= 0), None)
    if scores is not None and _is_flat(graph, scores):
        return FeatureLayer(
            scores, "the scores of its classes: no pool or classifier layer stands before them"
        )
    raise ModelError(_nothing_found([*tail, *body]))


def _before_classifier(graph: Graph, body: list[_Step]) -> FeatureLayer:
    for step in body:
        name, flat = step.operator.name, _is_flat(graph, step.operator.outputs[0])
        if name in POOLS and flat:
            return FeatureLayer(step.operator.outputs[0], f"the {name} before the classifier")
        if not flat or name not in CLASSIFIERS | _SHAPES | _POINTWISE:
            break
    last = body[0]
    if last.computed < 0:
        raise ModelError(_nothing_found(body))
    return FeatureLayer(
        last.computed, f"the input of the last {last.operator.name}: no global pool stands before it"
    )


def _ends_in_classifier(graph: Graph, body: list[_Step]) -> bool:
    if not body:
        return False
    last = body[0].operator
    return last.name in CLASSIFIERS and _is_flat(graph, last.outputs[0])


def _pools_classes(body: list[_Step]) -> bool:
    """Whether the graph ends in a convolution to classes and their global pool, as Darknet's do.

    The features of an embedder have an activation before they are pooled.
    """
    names = [step.operator.name for step in body[:2]]
    return len(names) == 2 and names[0] in POOLS and names[1] == "CONV_2D" and not body[1].operator.activated


def _walk_back(graph: Graph) -> list[_Step]:
    """Return the operators from the first output backwards, as long as each has one computed input.

    Constants that are dequantised and shapes that are computed, as converters write them for 16-bit
    weights and open batches, don't count.
    """
    producers = graph.computed()
    steps: list[_Step] = []
    tensor = graph.outputs[0]
    while tensor in producers and len(steps) < len(graph.operators):
        operator = graph.operators[producers[tensor]]
        computed = [i for i in operator.inputs if i in producers]
        steps.append(_Step(operator, computed[0] if len(computed) == 1 else -1))
        if len(computed) != 1:
            break
        tensor = computed[0]
    return steps


def _split(steps: list[_Step]) -> tuple[list[_Step], list[_Step]]:
    """Part the steps into those at the end that only normalise, reshape or requantise, and the others."""
    count = next((i for i, s in enumerate(steps) if s.operator.name not in ACTIVATIONS | _SHAPES), len(steps))
    return steps[:count], steps[count:]


def _is_flat(graph: Graph, tensor: int) -> bool:
    """Whether a tensor is one vector: all its dimensions but the last are 1."""
    return all(size == 1 for size in graph.tensors[tensor].shape[:-1])


def _nothing_found(steps: list[_Step]) -> str:
    names = " <- ".join(step.operator.name for step in steps[:6]) or "no operator"
    return (
        f"found no pool or classifier layer to read an embedding before; the graph ends {names}. "
        "Use model.features probabilities"
    )
