"""Check that a TFLite file holds an image model with one picture as its input."""

from __future__ import annotations

from edge_daemon.domain.errors import ModelError
from edge_daemon.imaging.preprocess import InputTensor
from edge_daemon.tflite.graph import CUSTOM, Graph, Tensor

EDGE_TPU = "edgetpu-custom-op"
DETECTOR = "TFLite_Detection_PostProcess"

_IMAGE_TYPES = ("uint8", "int8", "float32")
_TEXT_TYPES = ("int32", "int64", "string")


def image_input(graph: Graph, external_delegate: bool = False) -> InputTensor:
    """Return the model's image input. Raises ModelError that says what the model is instead.

    With an `external_delegate` custom operators are accepted, as it may implement them.
    """
    _check_operators(graph, external_delegate)
    if len(graph.inputs) != 1:
        raise ModelError(f"a model with {len(graph.inputs)} inputs; use one that takes a single picture")
    tensor = graph.tensors[graph.inputs[0]]
    _check_input(tensor)
    _check_output(graph)
    _, height, width, channels = tensor.shape
    return InputTensor(height, width, channels, tensor.dtype, tensor.scale, tensor.zero_point)


def _check_operators(graph: Graph, external_delegate: bool) -> None:
    custom = sorted({step.name for step in graph.operators if step.custom})
    if DETECTOR in custom or len(graph.outputs) >= 4:
        raise ModelError(
            "an object detector (its outputs are boxes, classes and scores); use a classifier or an embedder"
        )
    if external_delegate or not custom:
        return
    if EDGE_TPU in custom:
        raise ModelError(
            f"compiled for the Edge TPU ({EDGE_TPU}); take the file without _edgetpu in its name, "
            "or set model.delegate to libedgetpu.so.1 where that accelerator is plugged in"
        )
    names = ", ".join("one without a name" if name == CUSTOM else name for name in custom)
    raise ModelError(
        f"built with custom operators ({names}) that the interpreter lacks; "
        "convert it again with builtin operators only, or set model.delegate to a library that has them"
    )


def _check_input(tensor: Tensor) -> None:
    if tensor.dtype in _TEXT_TYPES:
        raise ModelError(f"a text model (its input is {tensor}: word ids); use an image model")
    if len(tensor.shape) != 4:
        raise ModelError(
            f"not an image model (its input is {tensor}; a picture is 1 x height x width x channels)"
        )
    if tensor.dtype not in _IMAGE_TYPES:
        raise ModelError(f"a model whose input is {tensor}; inputs can be {', '.join(_IMAGE_TYPES)}")
    batch, height, width, channels = tensor.shape
    if batch != 1 or channels not in (1, 3) or not (8 <= height <= 4096 and 8 <= width <= 4096):
        kind = "open" if tensor.dynamic else "unusual"
        raise ModelError(
            f"a model with an input of {kind} size ({tensor}); "
            "convert it with a fixed 1 x height x width x 3 (or x 1)"
        )


def _check_output(graph: Graph) -> None:
    output = graph.tensors[graph.outputs[0]]
    if not output.shape or output.dtype in (*_TEXT_TYPES, "bool"):
        raise ModelError(
            f"a model whose output is {output}; use one that gives a number for each class or feature"
        )
