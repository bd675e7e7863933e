"""Inference of a float model's input range from its first layers, or from a trial on pictures.

Keras models carry their preprocessing as `Rescaling` and `Normalization` layers, converted to MUL, ADD, SUB
and DIV by constants. Full-integer models with float inputs begin with QUANTIZE, whose scale covers the range.

The trial: a network trained on 0..255 gets 127 times less contrast in -1..1, so its output is almost the same
for every picture. The spread of its logits over pictures shows that. 34 small networks were trained for this
measurement. Those of -1..1, 0..1 and ImageNet's normalisation had a spread of 0.6 to 21 in -1..1, those of
0..255 one of 0.005 to 0.23. One of the latter, without a rescaling layer, had 1.6; the trial misses it. The
official networks have 0.7 to 1.1. A trial can't separate -1..1 and 0..1, which differ by a factor of 2: the
result is then -1..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ModelError
from edge_daemon.imaging.input_range import CONVENTIONS, MINUS_ONE_TO_ONE, ZERO_TO_255, InputRange, distance
from edge_daemon.tflite.feature_layer import find_feature_layer, is_classifier_graph
from edge_daemon.tflite.graph import Graph, Operator, truncate_at

_STEPS = {"MUL", "ADD", "SUB", "DIV"}

_NORMAL = (
    InputRange((-1.0,), (1.0,)),
    InputRange((0.0,), (1.0,)),
    InputRange((1.0,), (0.0,)),
    InputRange((1.0,), (-1.0,)),
    InputRange((0.0,), (255.0,)),
    InputRange((-2.0,), (2.4,)),
)
"""Ranges that the layers behind a rescaling are trained on; the last one is ImageNet's normalisation."""

_MAX_DISTANCE = 0.35
_MIN_LEAD = 0.2
"""Largest distance of the rescaled range to one of `_NORMAL`, and its least lead over other conventions."""

_PIXEL_MEANS = (60.0, 200.0)
"""Range of a photograph's mean, which older networks subtract without a division."""

_FLOATS = {"float32": "<f4", "float16": "<f2"}

_Floats = npt.NDArray[np.float64]


_Numbers = npt.NDArray[np.float32]

RunModel = Callable[[bytes, _Numbers], _Numbers]
"""Runs a model file on prepared pictures and returns its first output, one row per picture."""

_PICTURES = 6
_MIN_LOGIT_SPREAD = 0.25
_MIN_FIRST_LAYER_SPREAD = 0.02
"""Least spread over pictures of a network in its own range."""

_MIN_GAIN = 10
"""Least ratio of the spreads in 0..255 and -1..1; activations that end at 6 limit it."""

_LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


def implied_range(graph: Graph) -> InputRange | None:
    """Return the range that fits the graph's rescaling layers, None for a graph without them."""
    tensor, channels = graph.inputs[0], graph.tensors[graph.inputs[0]].shape[-1]
    factor, offset = np.ones(channels), np.zeros(channels)
    rescaled = False
    while (step := _sole_consumer(graph, tensor)) is not None:
        if step.name == "QUANTIZE" and not rescaled:
            return _quantised_range(graph, step.outputs[0])
        constant = _constant(graph, step, tensor, channels)
        if step.name not in _STEPS or constant is None:
            break
        factor, offset = _apply(step.name, factor, offset, constant, step.inputs[0] == tensor)
        tensor, rescaled = step.outputs[0], True
    return _best_fit(factor, offset) if rescaled else None


def _sole_consumer(graph: Graph, tensor: int) -> Operator | None:
    consumers = [step for step in graph.operators if tensor in step.inputs]
    return consumers[0] if len(consumers) == 1 and consumers[0].outputs else None


def _quantised_range(graph: Graph, tensor: int) -> InputRange | None:
    """Return the range that an 8-bit tensor covers, or the convention near it."""
    quantised = graph.tensors[tensor]
    if quantised.scale <= 0 or quantised.dtype not in ("uint8", "int8"):
        return None
    lowest = 0 if quantised.dtype == "uint8" else -128
    low, high = ((lowest + step - quantised.zero_point) * quantised.scale for step in (0, 255))
    covered = InputRange((low,), (high,))
    nearest = min(CONVENTIONS, key=lambda known: distance(covered, known))
    return nearest if distance(covered, nearest) < _MAX_DISTANCE else covered


def _constant(graph: Graph, step: Operator, tensor: int, channels: int) -> _Floats | None:
    """Return the constant operand of a step, one number per channel; None if it has none."""
    others = [index for index in step.inputs if index != tensor]
    if len(step.inputs) != 2 or len(others) != 1:
        return None
    index = others[0]
    source = next((each for each in graph.operators if index in each.outputs), None)
    if source is not None and source.name == "DEQUANTIZE":
        index = source.inputs[0]
    vector, kind = graph.constants.get(index), graph.tensors[index].dtype
    if vector is None or kind not in _FLOATS:
        return None
    content = vector.bytes()
    if len(content) not in (size * np.dtype(_FLOATS[kind]).itemsize for size in (1, channels)):
        return None
    return np.resize(np.frombuffer(content, _FLOATS[kind]).astype(np.float64), channels)


def _apply(
    name: str, factor: _Floats, offset: _Floats, constant: _Floats, first: bool
) -> tuple[_Floats, _Floats]:
    """Return factor and offset after one more step. `first`: the picture is its first operand."""
    if name == "MUL":
        return factor * constant, offset * constant
    if name == "ADD":
        return factor, offset + constant
    if name == "SUB":
        return (factor, offset - constant) if first else (-factor, constant - offset)
    with np.errstate(all="ignore"):
        return (factor / constant, offset / constant) if first else (factor * np.nan, offset)


def _best_fit(factor: _Floats, offset: _Floats) -> InputRange | None:
    if not (np.isfinite(factor).all() and np.isfinite(offset).all() and factor.all()):
        return None
    by_fit = sorted((_misfit(known, factor, offset), index) for index, known in enumerate(CONVENTIONS))
    (best, index), (second, _) = by_fit[:2]
    if best < _MAX_DISTANCE and second - best > _MIN_LEAD:
        return CONVENTIONS[index]
    zero = -offset / factor
    return (
        InputRange((0.0,), (255.0,)) if ((zero > _PIXEL_MEANS[0]) & (zero < _PIXEL_MEANS[1])).all() else None
    )


def _misfit(known: InputRange, factor: _Floats, offset: _Floats) -> float:
    """Return the distance of a rescaled range to the nearest range that networks are trained on."""
    rescaled = InputRange(
        tuple((factor * known.black[0] + offset).tolist()), tuple((factor * known.white[0] + offset).tolist())
    )
    return min(distance(rescaled, normal) for normal in _NORMAL)


def range_by_trial(content: bytes, graph: Graph, run: RunModel) -> InputRange:
    """Return 0..255 if the outputs spread clearly more there than in -1..1, else -1..1.

    Raises ModelError when the model fails.
    """
    measured = _measured_tensor(graph)
    if measured is None:
        return MINUS_ONE_TO_ONE
    tensor, min_spread = measured
    if tensor != graph.outputs[0]:
        content = truncate_at(content, graph, tensor)
    pictures = _pictures(*graph.tensors[graph.inputs[0]].shape[1:])
    small = _spread(run(content, pictures / 127.5 - 1))
    if small < min_spread and _spread(run(content, pictures)) > _MIN_GAIN * small:
        return ZERO_TO_255
    return MINUS_ONE_TO_ONE


def _measured_tensor(graph: Graph) -> tuple[int, float] | None:
    """Return the tensor to measure and its least spread, None for a graph without a known one.

    An embedder's output can have any scale, so its first layer is measured instead.
    """
    with suppress(ModelError):  # a softmax of the picture itself has no logits
        if is_classifier_graph(graph):
            return find_feature_layer(graph, "logits").tensor, _MIN_LOGIT_SPREAD
    first = next((step for step in graph.operators if graph.inputs[0] in step.inputs), None)
    return (first.outputs[0], _MIN_FIRST_LAYER_SPREAD) if first and first.name in _LAYERS else None


def _spread(outputs: _Numbers) -> float:
    """Return the standard deviation over pictures and positions, as the root mean square of all channels."""
    rows = outputs.reshape(-1, outputs.shape[-1])
    return math.sqrt(float(rows.var(axis=0, dtype=np.float64).mean()))


def _pictures(height: int, width: int, channels: int) -> _Numbers:
    """Draw random discs and boxes on gradients, 0 to 255; every call draws the same pictures."""
    random = np.random.default_rng(7)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    size = max(height, width)
    drawn = []
    for number in range(_PICTURES):
        near, far = random.integers(0, 256, (2, 3))
        slope = (rows * math.sin(number) + columns * math.cos(number)) / (2 * size) + 0.5
        picture = near + (far - near) * slope[..., np.newaxis]
        for shape in range(4):
            top, left, radius = random.random(3) * (height, width, 0.35 * size) + (0, 0, 2)
            down, across = abs(rows - top), abs(columns - left)
            inside = np.hypot(down, across) < radius if shape % 2 else np.maximum(down, across) < radius
            picture[inside] = random.integers(0, 256, 3)
        drawn.append(picture + random.normal(0, 6, picture.shape))
    pictures: _Numbers = np.clip(drawn, 0, 255).astype(np.float32)
    return pictures if channels == 3 else pictures.mean(axis=-1, keepdims=True, dtype=np.float32)
