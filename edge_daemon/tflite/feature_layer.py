"""Search for the feature layer: the tensor that holds the embedding, logits or probabilities."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from edge_daemon.domain.errors import ModelError
from edge_daemon.tflite.graph import Graph, Operator

FeatureName: TypeAlias = Literal["embedding", "logits", "probabilities", "pixels"]

POOLS = {"AVERAGE_POOL_2D", "MEAN"}
CLASSIFIERS = {"CONV_2D", "FULLY_CONNECTED"}
ACTIVATIONS = {"SOFTMAX", "LOGISTIC"}
_SHAPES = {"RESHAPE", "SQUEEZE", "QUANTIZE", "DEQUANTIZE"}
_POINTWISE = {"RELU", "RELU6", "ADD", "MUL", "SUB", "HARD_SWISH", "LEAKY_RELU"}


class FeatureLayer(Struct, frozen=True):
    """The tensor to read; `why` is a phrase that follows "the feature layer is".

    The embedder averages a tensor with height and width over both. `needs_softmax`: the tensor
    holds logits, though probabilities were requested.
    """

    tensor: int
    why: str
    needs_softmax: bool = False


class _OperatorStep(Struct, frozen=True):
    operator: Operator
    computed: int
    """The operator's only computed input; -1 without one or with several."""


def find_feature_layer(graph: Graph, name: FeatureName) -> FeatureLayer:
    """Return the tensor for `name`. Raises ModelError that names the operators found instead."""
    tail, body = _split(_walk_back(graph))
    if name == "embedding":
        return _embedding(graph, tail, body)
    activation = next((step for step in tail if step.operator.name in ACTIVATIONS), None)
    classes = activation or _ends_in_classifier(graph, body) or _pools_classes(body)
    if name == "probabilities" and not classes:
        raise ModelError(
            "an embedder without classes; use model.features embedding and teach it, "
            "or a model with classes: `edge-daemon models pull efficientnet_lite0` gets one"
        )
    if name == "logits" and activation is not None:
        if activation.computed < 0:
            raise ModelError(_nothing_found(tail))
        return FeatureLayer(activation.computed, f"the input of the last {activation.operator.name}")
    return FeatureLayer(graph.outputs[0], "the model's output", needs_softmax=activation is None)


def is_classifier_graph(graph: Graph) -> bool:
    """Return whether the graph ends in a softmax, a logistic, or a layer with one output per class."""
    tail, body = _split(_walk_back(graph))
    return any(step.operator.name in ACTIVATIONS for step in tail) or _ends_in_classifier(graph, body)


def _embedding(graph: Graph, tail: list[_OperatorStep], body: list[_OperatorStep]) -> FeatureLayer:
    """Return the pool before the classifier layers, or the last classifier layer's input, or the logits."""
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
        return FeatureLayer(scores, "the scores of its classes: no pool or classifier layer precedes them")
    raise ModelError(_nothing_found([*tail, *body]))


def _before_classifier(graph: Graph, body: list[_OperatorStep]) -> FeatureLayer:
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
        last.computed, f"the input of the last {last.operator.name}: no global pool precedes it"
    )


def _ends_in_classifier(graph: Graph, body: list[_OperatorStep]) -> bool:
    if not body:
        return False
    last = body[0].operator
    return last.name in CLASSIFIERS and _is_flat(graph, last.outputs[0])


def _pools_classes(body: list[_OperatorStep]) -> bool:
    """Return whether the graph ends in a convolution to classes and a global pool, as Darknet's do.

    An embedder's features pass an activation before the pool.
    """
    names = [step.operator.name for step in body[:2]]
    return len(names) == 2 and names[0] in POOLS and names[1] == "CONV_2D" and not body[1].operator.activated


def _walk_back(graph: Graph) -> list[_OperatorStep]:
    """Return the operators from the first output backwards, while each has one computed input.

    Dequantised constants (16-bit weights) and computed shapes (open batches) are not counted as inputs.
    """
    producers = graph.computed()
    steps: list[_OperatorStep] = []
    tensor = graph.outputs[0]
    while tensor in producers and len(steps) < len(graph.operators):
        operator = graph.operators[producers[tensor]]
        computed = [i for i in operator.inputs if i in producers]
        steps.append(_OperatorStep(operator, computed[0] if len(computed) == 1 else -1))
        if len(computed) != 1:
            break
        tensor = computed[0]
    return steps


def _split(steps: list[_OperatorStep]) -> tuple[list[_OperatorStep], list[_OperatorStep]]:
    """Split the steps into the tail, which only normalises, reshapes or requantises, and the body."""
    count = next((i for i, s in enumerate(steps) if s.operator.name not in ACTIVATIONS | _SHAPES), len(steps))
    return steps[:count], steps[count:]


def _is_flat(graph: Graph, tensor: int) -> bool:
    """Return whether a tensor is one vector: every dimension except the last is 1."""
    return all(size == 1 for size in graph.tensors[tensor].shape[:-1])


def _nothing_found(steps: list[_OperatorStep]) -> str:
    names = " <- ".join(step.operator.name for step in steps[:6]) or "no operator"
    return (
        f"found no pool or classifier layer to read an embedding before; the graph ends {names}. "
        "Use model.features probabilities"
    )
