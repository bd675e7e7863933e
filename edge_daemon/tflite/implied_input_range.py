"""The input range that follows from a float graph's own first layers.

Keras models carry their preprocessing as `Rescaling` and `Normalization` layers, converted to MUL, ADD, SUB
and DIV by constants; full-integer models with float inputs begin with QUANTIZE, whose scale covers the range.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_daemon.imaging.input_range import CONVENTIONS, InputRange, distance
from edge_daemon.tflite.graph import Graph, Operator

_STEPS = {"MUL", "ADD", "SUB", "DIV"}

_NORMAL = (
    InputRange((-1.0,), (1.0,)),
    InputRange((0.0,), (1.0,)),
    InputRange((1.0,), (0.0,)),
    InputRange((1.0,), (-1.0,)),
    InputRange((0.0,), (255.0,)),
    InputRange((-2.0,), (2.4,)),
)
"""What the layers behind a rescaling are trained on; the last follows ImageNet's means and deviations."""

_NEAR = 0.35
_CLEARLY = 0.2
"""How near to one of `_NORMAL` the rescaled range has to be, and how much nearer than the others'."""

_PIXEL_MEANS = (60.0, 200.0)
"""Where the mean of photographs lies that older networks subtract without dividing."""

_FLOATS = {"float32": "<f4", "float16": "<f2"}

_Floats = npt.NDArray[np.float64]


def implied_range(graph: Graph) -> InputRange | None:
    """Return the range whose rescaling makes sense, None where the graph begins with something else."""
    tensor, channels = graph.inputs[0], graph.tensors[graph.inputs[0]].shape[-1]
    factor, offset = np.ones(channels), np.zeros(channels)
    rescaled = False
    while (step := _only_reader(graph, tensor)) is not None:
        if step.name == "QUANTIZE" and not rescaled:
            return _quantised(graph, step.outputs[0])
        constant = _constant(graph, step, tensor, channels)
        if step.name not in _STEPS or constant is None:
            break
        factor, offset = _applied(step.name, factor, offset, constant, step.inputs[0] == tensor)
        tensor, rescaled = step.outputs[0], True
    return _fitting(factor, offset) if rescaled else None


def _only_reader(graph: Graph, tensor: int) -> Operator | None:
    readers = [step for step in graph.operators if tensor in step.inputs]
    return readers[0] if len(readers) == 1 and readers[0].outputs else None


def _quantised(graph: Graph, tensor: int) -> InputRange | None:
    """Return the convention that an 8-bit tensor covers, else the range it covers."""
    found = graph.tensors[tensor]
    if found.scale <= 0 or found.dtype not in ("uint8", "int8"):
        return None
    lowest = 0 if found.dtype == "uint8" else -128
    low, high = ((lowest + step - found.zero_point) * found.scale for step in (0, 255))
    covered = InputRange((low,), (high,))
    nearest = min(CONVENTIONS, key=lambda known: distance(covered, known))
    return nearest if distance(covered, nearest) < _NEAR else covered


def _constant(graph: Graph, step: Operator, tensor: int, channels: int) -> _Floats | None:
    """Return the other operand of a step, one number for each channel."""
    others = [index for index in step.inputs if index != tensor]
    if len(step.inputs) != 2 or len(others) != 1:
        return None
    index = others[0]
    source = next((each for each in graph.operators if index in each.outputs), None)
    if source is not None and source.name == "DEQUANTIZE":
        index = source.inputs[0]
    held, kind = graph.constants.get(index), graph.tensors[index].dtype
    if held is None or kind not in _FLOATS:
        return None
    content = held.bytes()
    if len(content) not in (size * np.dtype(_FLOATS[kind]).itemsize for size in (1, channels)):
        return None
    return np.resize(np.frombuffer(content, _FLOATS[kind]).astype(np.float64), channels)


def _applied(
    name: str, factor: _Floats, offset: _Floats, constant: _Floats, first: bool
) -> tuple[_Floats, _Floats]:
    """Return factor and offset behind one more step; `first` means that the picture is its first operand."""
    if name == "MUL":
        return factor * constant, offset * constant
    if name == "ADD":
        return factor, offset + constant
    if name == "SUB":
        return (factor, offset - constant) if first else (-factor, constant - offset)
    with np.errstate(all="ignore"):
        return (factor / constant, offset / constant) if first else (factor * np.nan, offset)


def _fitting(factor: _Floats, offset: _Floats) -> InputRange | None:
    if not (np.isfinite(factor).all() and np.isfinite(offset).all() and factor.all()):
        return None
    by_fit = sorted((_misfit(known, factor, offset), index) for index, known in enumerate(CONVENTIONS))
    (best, index), (second, _) = by_fit[:2]
    if best < _NEAR and second - best > _CLEARLY:
        return CONVENTIONS[index]
    zero = -offset / factor
    return (
        InputRange((0.0,), (255.0,)) if ((zero > _PIXEL_MEANS[0]) & (zero < _PIXEL_MEANS[1])).all() else None
    )


def _misfit(known: InputRange, factor: _Floats, offset: _Floats) -> float:
    """Return how far a range, once rescaled, is from what networks are trained on."""
    rescaled = InputRange(
        tuple((factor * known.black[0] + offset).tolist()), tuple((factor * known.white[0] + offset).tolist())
    )
    return min(distance(rescaled, normal) for normal in _NORMAL)
